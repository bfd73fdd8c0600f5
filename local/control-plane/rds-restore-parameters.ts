import * as z from 'zod';
import { groupStatus } from './rds-description.ts';
import { flag, type Kind, list, Tag } from './rds-model.ts';

/** The parameters of the calls that make servers, and what they become. */

/** API reference: a letter, then letters, digits and single hyphens, at most 63. */
export const ServerId = z
  .string()
  .regex(/^(?=.{1,63}$)[A-Za-z][A-Za-z0-9]*(-[A-Za-z0-9]+)*$/)
  .toLowerCase();
export const time = z.coerce.date().optional();
const number = z.coerce.number().optional();

/** Members that both calls for instances take. */
export const instanceSettings = {
  DBInstanceClass: z.string().startsWith('db.').optional(),
  DBParameterGroupName: z.string().optional(),
  CACertificateIdentifier: z.string().optional(),
  Iops: number,
  StorageThroughput: number,
  MultiAZ: flag,
  PubliclyAccessible: flag,
  AutoMinorVersionUpgrade: flag,
};
/** Members that both calls for clusters take. */
export const clusterSettings = {
  DBClusterParameterGroupName: z.string().optional(),
  KmsKeyId: z.string().optional(),
  ServerlessV2ScalingConfiguration: z
    .strictObject({ MinCapacity: number, MaxCapacity: number, SecondsUntilAutoPause: number })
    .optional(),
};
/** Members that all four take. */
export const settings = {
  DBSubnetGroupName: z.string().optional(),
  OptionGroupName: z.string().optional(),
  StorageType: z.string().optional(),
  Port: number,
  NetworkType: z.enum(['IPV4', 'DUAL']).optional(),
  VpcSecurityGroupIds: list(z.string()),
  EnableCloudwatchLogsExports: list(z.string()),
  EnableIAMDatabaseAuthentication: flag,
  CopyTagsToSnapshot: flag,
  DeletionProtection: flag,
  Tags: list(Tag),
};

/** The call's settings, as they come: texts. */
export type Settings = Readonly<Record<string, unknown>>;

export function definedOf(input: Settings): Settings {
  return Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined));
}

/** A snapshot remembers the class, the storage, the key and the options; not the network, nor the groups. */
export function remembered(attributes: Settings): Settings {
  const names = [
    'DBInstanceClass',
    'StorageType',
    'Iops',
    'StorageThroughput',
    'KmsKeyId',
    'StorageEncrypted',
    'OptionGroupMemberships',
    'BackupRetentionPeriod',
  ];
  return definedOf(Object.fromEntries(names.map((name) => [name, attributes[name]])));
}

/** A restore's parameters as members of DBInstance or DBCluster. */
export function attributesOf(kind: Kind, input: Settings): Settings {
  const bool = (name: string) => (input[name] === undefined ? undefined : input[name] === 'true');
  const subnets = input['DBSubnetGroupName'];
  const groups = input['VpcSecurityGroupIds'] as readonly string[] | undefined;
  return definedOf({
    DBInstanceClass: input['DBInstanceClass'],
    DBSubnetGroup:
      subnets === undefined || kind === 'cluster' ? subnets : { DBSubnetGroupName: subnets },
    VpcSecurityGroups: groups?.map((VpcSecurityGroupId) => ({
      VpcSecurityGroupId,
      Status: 'active',
    })),
    DBParameterGroups:
      input['DBParameterGroupName'] === undefined
        ? undefined
        : [groupStatus(input['DBParameterGroupName'])],
    DBClusterParameterGroup: input['DBClusterParameterGroupName'],
    OptionGroupMemberships:
      input['OptionGroupName'] === undefined
        ? undefined
        : [{ OptionGroupName: input['OptionGroupName'], Status: 'in-sync' }],
    CACertificateIdentifier: input['CACertificateIdentifier'],
    StorageType: input['StorageType'],
    Iops: input['Iops'],
    StorageThroughput: input['StorageThroughput'],
    KmsKeyId: input['KmsKeyId'],
    NetworkType: input['NetworkType'],
    ServerlessV2ScalingConfiguration: input['ServerlessV2ScalingConfiguration'],
    EnabledCloudwatchLogsExports: input['EnableCloudwatchLogsExports'],
    MultiAZ: bool('MultiAZ'),
    PubliclyAccessible: bool('PubliclyAccessible'),
    AutoMinorVersionUpgrade: bool('AutoMinorVersionUpgrade'),
    IAMDatabaseAuthenticationEnabled: bool('EnableIAMDatabaseAuthentication'),
    CopyTagsToSnapshot: bool('CopyTagsToSnapshot'),
    DeletionProtection: bool('DeletionProtection'),
  });
}

export function tagsOf({ Tags: tags }: Settings): ReadonlyMap<string, string> {
  const pairs = (tags ?? []) as readonly { readonly Key: string; readonly Value: string }[];
  return new Map(pairs.map(({ Key, Value }) => [Key, Value]));
}
