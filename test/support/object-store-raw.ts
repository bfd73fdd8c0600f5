import { request } from 'node:http';

/** Well-formed, which is all that the store asks of a signature. */
export const AUTHORIZATION = `AWS4-HMAC-SHA256 Credential=test/20261120/eu-west-1/s3/aws4_request, SignedHeaders=host, Signature=${'0'.repeat(64)}`;

/** A request as it is written here, which no SDK would send. */
export function sendRaw(
  endpoint: string,
  options: { method?: string; path: string; headers?: Record<string, string>; body?: string },
): Promise<{ status: number; headers: Record<string, unknown>; text: string }> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(endpoint);
    const sent = request(
      {
        hostname,
        port,
        method: options.method ?? 'GET',
        path: options.path,
        headers: { authorization: AUTHORIZATION, ...options.headers },
        agent: false,
        timeout: 120_000,
      },
      (answer) => {
        let text = '';
        answer.setEncoding('utf8');
        answer.on('data', (chunk: string) => {
          text += chunk;
        });
        answer.on('error', reject);
        answer.on('end', () =>
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text }),
        );
      },
    );
    sent.on('timeout', () => sent.destroy(new Error('no answer within two minutes')));
    sent.on('error', reject);
    sent.end(options.body ?? '');
  });
}
