/**
 * The settings that every AWS client shares. Region, credentials and endpoints come from the standard
 * environment, so that nothing here knows whether it runs on AWS or beside a local stand-in.
 * Eight attempts: with one call in five failing, one in 390,000 calls still fails.
 */
export function clientConfig() {
  return {
    maxAttempts: 8,
    requestHandler: {
      connectionTimeout: 5_000,
      /** To the response's head; a part of 100 MiB on a slow link fits. */
      requestTimeout: 120_000,
      throwOnRequestTimeout: true,
      socketTimeout: 60_000,
    },
  };
}
