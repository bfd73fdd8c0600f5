import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { contractCases } from '#test/object-store-contract.ts';
import {
  hasMoto,
  makeClient,
  type S3Target,
  startMoto,
  startOwnStore,
} from '#test/object-store-targets.ts';

/**
 * One list of cases against our store and, where it is installed, against moto: an implementation that
 * we did not write, so that the store that judges our code is itself held to the protocol.
 */
const moto = hasMoto();

describe('the local object store, in the contract', () => {
  runContract(startOwnStore, () => undefined);
});

const whyNoMoto = moto ? '' : ' (not run: moto is not installed, pip install "moto[server]")';
describe.skipIf(!moto)(`moto_server, in the contract${whyNoMoto}`, () => {
  runContract(startMoto, (contractCase) => contractCase.notOnMoto);
});

function runContract(
  start: () => Promise<S3Target>,
  whyNot: (contractCase: (typeof contractCases)[number]) => string | undefined,
): void {
  let target: S3Target;
  let client: ReturnType<typeof makeClient>;

  beforeAll(async () => {
    target = await start();
    client = makeClient(target.endpoint);
  });
  afterAll(async () => {
    client?.destroy();
    await target?.close();
  });

  for (const contractCase of contractCases) {
    const reason = whyNot(contractCase);
    const suffix = reason === undefined ? '' : ` (not here: ${reason})`;
    it.skipIf(reason !== undefined)(`${contractCase.title}${suffix}`, async () => {
      expect.hasAssertions();
      await contractCase.run({ client, endpoint: target.endpoint });
    });
  }
}
