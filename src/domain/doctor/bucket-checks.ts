import type { Answer, BucketPosture, CheckId, Finding } from '#contracts/posture.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import { refusesPlainHttp } from './bucket-policy.ts';
import { awsCommand, type Examination, type Note, notesOn, noteUnanswered } from './finding.ts';
import { judgeLifecycle } from './lifecycle-checks.ts';

interface About {
  readonly examination: Examination;
  readonly note: Note;
  readonly posture: BucketPosture;
}

/** The bucket. `posture` undefined: S3 knows none of that name. */
export function judgeBucket(
  examination: Examination,
  plans: readonly SourcePlan[],
  bucket: string,
  posture: BucketPosture | undefined,
): Finding[] {
  const note = notesOn(null);
  if (!posture) {
    return [
      note('bucket', 'fail', `there is no bucket ${bucket}`, {
        why: 'there are no backups, and there is nowhere to put one',
        remedy: 'deploy the stack again (docs/deploy.md)',
      }),
    ];
  }
  const about: About = { examination, note, posture };
  return [
    versioning(about),
    mfaDelete(about),
    encryption(about),
    publicAccess(about),
    tlsPolicy(about),
    events(about),
    ...judgeLifecycle(examination, plans, posture.lifecycle),
    objectLock(about),
    replication(about),
    accessLogging(about),
  ];
}

/** The judgement of what is known, or that it is not. */
function judged<Fact>(
  { examination, note }: About,
  check: CheckId,
  what: string,
  answer: Answer<Fact>,
  judge: (fact: Fact) => Finding,
): Finding {
  return answer.known ? judge(answer.fact) : noteUnanswered(note, check, what, answer, examination);
}

function s3api({ examination, posture }: About, command: string, ...words: string[]): string {
  return awsCommand(examination, 's3api', command, '--bucket', posture.bucket, ...words);
}

function versioning(about: About): Finding {
  const { note, posture } = about;
  return judged(about, 'bucket-versioning', 'versioning', posture.versioning, ({ state }) =>
    state === 'Enabled'
      ? note('bucket-versioning', 'ok', 'versioning is on')
      : note('bucket-versioning', 'fail', `versioning is ${state.toLowerCase()}`, {
          why: 'a backup that is deleted or replaced is gone at once',
          remedy: s3api(
            about,
            'put-bucket-versioning',
            ...['--versioning-configuration', 'Status=Enabled'],
          ),
        }),
  );
}

function mfaDelete(about: About): Finding {
  const { note, posture } = about;
  return judged(about, 'mfa-delete', 'MFA delete', posture.versioning, ({ mfaDelete: isOn }) =>
    isOn
      ? note('mfa-delete', 'ok', 'MFA delete is on')
      : note('mfa-delete', 'info', 'MFA delete is off', {
          why: 'whoever may delete versions can do so for good; Object Lock is the stronger choice',
          remedy: `as the root user of the account: ${s3api(
            about,
            'put-bucket-versioning',
            ...['--versioning-configuration', 'Status=Enabled,MFADelete=Enabled'],
            ...['--mfa', 'SERIAL CODE'],
          )}`,
        }),
  );
}

function encryption(about: About): Finding {
  const { note, posture } = about;
  const byKms = (key: string) =>
    s3api(
      about,
      'put-bucket-encryption',
      '--server-side-encryption-configuration',
      JSON.stringify({
        Rules: [
          {
            ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms', KMSMasterKeyID: key },
            BucketKeyEnabled: true,
          },
        ],
      }),
    );
  return judged(about, 'bucket-encryption', 'encryption', posture.encryption, (found) => {
    if (!found?.algorithm.startsWith('aws:kms')) {
      const title = found
        ? `objects are encrypted with ${found.algorithm}, not with a KMS key`
        : 'the bucket has no default encryption';
      return note('bucket-encryption', 'warn', title, {
        why: 'reading a backup takes one permission, not two, and no use of a key is logged',
        remedy: byKms('KEY'),
      });
    }
    // S3 has no bucket keys for dual-layer encryption.
    if (found.bucketKey || found.algorithm === 'aws:kms:dsse') {
      return note('bucket-encryption', 'ok', `objects are encrypted with ${found.algorithm}`);
    }
    return note('bucket-encryption', 'warn', 'the bucket key is off', {
      why: 'each part of each upload asks KMS: it costs more, and a big backup can be throttled',
      remedy: byKms(found.keyId ?? 'KEY'),
    });
  });
}

function publicAccess(about: About): Finding {
  const { note, posture } = about;
  const { publicAccess: answer } = posture;
  return judged(about, 'bucket-public-access', 'public access', answer, (block) => {
    const open = Object.entries(block ?? { everything: false }).filter(([, isOn]) => !isOn);
    if (open.length === 0) return note('bucket-public-access', 'ok', 'public access is blocked');
    const names = open.map(([name]) => name).join(', ');
    return note('bucket-public-access', 'fail', `public access is not blocked: ${names}`, {
      why: 'one policy or one ACL makes the backups readable for everybody',
      remedy: s3api(
        about,
        'put-public-access-block',
        '--public-access-block-configuration',
        'BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true',
      ),
    });
  });
}

function tlsPolicy(about: About): Finding {
  const { note, posture } = about;
  const { bucket } = posture;
  return judged(about, 'bucket-tls-policy', 'the bucket policy', posture.policy, (policy) => {
    const refuses = policy === undefined ? false : refusesPlainHttp(policy, bucket);
    if (refuses) return note('bucket-tls-policy', 'ok', 'requests without TLS are refused');
    const statement = {
      Effect: 'Deny',
      Principal: '*',
      Action: 's3:*',
      Resource: [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`],
      Condition: { Bool: { 'aws:SecureTransport': 'false' } },
    };
    const remedy = `S3 console, ${bucket}, Permissions, Bucket policy: add the statement ${JSON.stringify(statement)}`;
    if (refuses === undefined) {
      return note('bucket-tls-policy', 'unknown', 'the bucket policy is not understood', {
        remedy,
      });
    }
    return note('bucket-tls-policy', 'fail', 'requests without TLS are not refused', {
      why: 'credentials that sign a request over plain HTTP show the backup to whoever listens',
      remedy,
    });
  });
}

function events(about: About): Finding {
  const { note, posture } = about;
  return judged(about, 'bucket-events', 'events', posture.eventBridge, (isOn) =>
    isOn
      ? note('bucket-events', 'ok', 'events go to EventBridge')
      : note('bucket-events', 'fail', 'no events go to EventBridge', {
          why: 'no backup is verified when it is written, and no request or retrieval is noticed',
          remedy: s3api(
            about,
            'put-bucket-notification-configuration',
            ...['--notification-configuration', '{"EventBridgeConfiguration":{}}'],
          ),
        }),
  );
}

function objectLock(about: About): Finding {
  const { note, posture } = about;
  return judged(about, 'object-lock', 'Object Lock', posture.objectLock, (lock) => {
    if (!lock) {
      return note('object-lock', 'info', 'Object Lock is off', {
        why: 'an administrator, or whoever has become one, can delete every backup for good',
        remedy: `${s3api(about, 'put-object-lock-configuration', '--object-lock-configuration', '{"ObjectLockEnabled":"Enabled"}')}; it cannot be turned off again`,
      });
    }
    const { mode, defaultDays } = lock;
    if (mode === undefined || defaultDays === undefined) {
      return note('object-lock', 'info', 'Object Lock is on, without a default retention', {
        why: 'a backup is only locked when somebody locks it',
        remedy: s3api(
          about,
          'put-object-lock-configuration',
          '--object-lock-configuration',
          '{"ObjectLockEnabled":"Enabled","Rule":{"DefaultRetention":{"Mode":"GOVERNANCE","Days":30}}}',
        ),
      });
    }
    const title = `Object Lock is on: ${mode.toLowerCase()}, ${defaultDays} days by default`;
    return note('object-lock', 'ok', title);
  });
}

function replication(about: About): Finding {
  const { note, posture } = about;
  return judged(about, 'replication', 'replication', posture.replication, (rules) => {
    const off = rules.filter(({ enabled }) => !enabled);
    if (rules.length === 0) {
      return note('replication', 'info', 'backups are not replicated', {
        why: 'the loss of the region or of the account is the loss of every backup',
        remedy:
          'S3 console, the bucket, Management, Replication rules: to another region or account',
      });
    }
    const targets = [...new Set(rules.map(({ to }) => to))].join(', ');
    return off.length < rules.length
      ? note('replication', 'ok', `backups are replicated to ${targets}`)
      : note('replication', 'warn', `replication to ${targets} is disabled`, {
          why: 'somebody relies on the copies that are no longer made',
          remedy: 'S3 console, the bucket, Management, Replication rules: enable the rule',
        });
  });
}

function accessLogging(about: About): Finding {
  const { note, posture } = about;
  return judged(about, 'access-logging', 'access logs', posture.accessLogs, (target) =>
    target === undefined
      ? note('access-logging', 'info', 'access is not logged', {
          why: 'nobody can tell who read or deleted a backup, unless CloudTrail has data events',
          remedy: 'npm run package -- --stage STAGE --access-log-bucket BUCKET --deploy',
        })
      : note('access-logging', 'ok', `access is logged in ${target}`),
  );
}
