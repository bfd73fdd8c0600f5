import { Logger } from '@aws-lambda-powertools/logger';
import type { Log } from '#runtime/ports.ts';

/** JSON lines on standard output: CloudWatch Logs on AWS, a file beside the local runner. */
export function makeLog(serviceName: string): Log {
  const logger = new Logger({ serviceName });
  return {
    info: (event, fields) => logger.info(event, { ...fields }),
    warn: (event, fields) => logger.warn(event, { ...fields }),
    error: (event, fields) => logger.error(event, { ...fields }),
  };
}
