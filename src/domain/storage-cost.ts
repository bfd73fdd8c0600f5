import type { Inventory } from './backup-inventory.ts';

/**
 * What storing objects in S3 costs in a month: an estimate by list prices, without requests, retrievals,
 * transfer, tax, discounts and the free tier. RDS snapshots are not in it: RDS does not say what each adds.
 */

/**
 * US dollars for a GB (2^30 bytes) and a month, first tier.
 * Source: https://aws.amazon.com/s3/pricing/, as known in 2025. A price that changed makes the estimate as wrong as
 * it changed; regions that are not here are counted as us-east-1 and cost up to twice that.
 */
const PRICES: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  'us-east-1': {
    STANDARD: 0.023,
    INTELLIGENT_TIERING: 0.023,
    STANDARD_IA: 0.0125,
    ONEZONE_IA: 0.01,
    GLACIER_IR: 0.004,
    GLACIER: 0.0036,
    DEEP_ARCHIVE: 0.00099,
  },
  'eu-west-1': {
    STANDARD: 0.023,
    INTELLIGENT_TIERING: 0.023,
    STANDARD_IA: 0.0125,
    ONEZONE_IA: 0.01,
    GLACIER_IR: 0.005,
    GLACIER: 0.0036,
    DEEP_ARCHIVE: 0.00099,
  },
};
const DEFAULT_REGION = 'us-east-1';
const GB = 2 ** 30;

/** These bill an object as at least 128 KB. Source: the S3 User Guide, "Understanding S3 storage classes". */
const LEAST_BYTES = 128 * 1024;
const WITH_LEAST_BYTES = new Set(['STANDARD_IA', 'ONEZONE_IA', 'GLACIER_IR']);
/** Beside each archived object: 32 KB at its own price, 8 KB at that of STANDARD. Same source. */
const ARCHIVED = new Set(['GLACIER', 'DEEP_ARCHIVE']);
const INDEX_BYTES = 32 * 1024;
const NAME_BYTES = 8 * 1024;

export interface StoredBytes {
  readonly sizeBytes: number;
  /** S3's name; default, and for one that has no price here: STANDARD, the dearest. */
  readonly storageClass?: string | undefined;
}

/** The region whose list prices are counted with for one of AWS's. */
export function pricedAs(region: string): string {
  return Object.hasOwn(PRICES, region) ? region : DEFAULT_REGION;
}

/** US dollars a month for a source's backups, every object of them: of the metric MonthlyCost and of the report. */
export function monthlyBackupCostUsd(
  { databases }: Pick<Inventory, 'databases'>,
  region: string,
): number {
  const objects = [...databases.values()].flat().flatMap(({ files }) => [...files.values()]);
  return monthlyStorageCostUsd(objects, region);
}

/** US dollars a month for objects that stay as they are. */
export function monthlyStorageCostUsd(objects: Iterable<StoredBytes>, region: string): number {
  const prices = PRICES[pricedAs(region)] ?? {};
  const standard = prices['STANDARD'] ?? 0;
  let dollars = 0;
  for (const { sizeBytes, storageClass = 'STANDARD' } of objects) {
    const price = prices[storageClass] ?? standard;
    const least = WITH_LEAST_BYTES.has(storageClass) && sizeBytes > 0 ? LEAST_BYTES : 0;
    dollars += (Math.max(sizeBytes, least) * price) / GB;
    if (ARCHIVED.has(storageClass)) {
      dollars += (INDEX_BYTES * price + NAME_BYTES * standard) / GB;
    }
  }
  return dollars;
}
