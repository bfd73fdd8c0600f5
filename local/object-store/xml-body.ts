import { readAnnounced, receiveBody } from './body.ts';
import type { S3Request } from './request.ts';
import { S3Error } from './s3-error.ts';
import { parseXml, type XmlNode } from './xml.ts';

/** Enough for 10,000 parts with ETag and SHA-256. */
const MAX_XML_BYTES = 4 * 1024 ** 2;

/** The XML in a request's body, after the checks that every body gets. Throws MalformedXML, BadDigest. */
export async function receiveXml(request: S3Request, root: string): Promise<XmlNode> {
  const announced = readAnnounced(request.headers);
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  const wanted = { md5: false, algorithms: [] };
  await receiveBody(request.body, announced, wanted, (chunk) => {
    sizeBytes += chunk.length;
    if (sizeBytes > MAX_XML_BYTES) throw new S3Error('MalformedXML', 'The XML is too long.');
    chunks.push(chunk);
    return undefined;
  });
  return parseXml(Buffer.concat(chunks).toString('utf8'), root);
}
