import { XMLBuilder, XMLParser } from 'fast-xml-parser';
import { S3Error } from './s3-error.ts';

const NAMESPACE = 'http://s3.amazonaws.com/doc/2006-03-01/';
const REPEATED = new Set(['Object', 'Part', 'Tag']);

const builder = new XMLBuilder({ ignoreAttributes: false, suppressEmptyNode: false });
// Whitespace is kept, as it may be part of a key; numbers stay text, as `007` is a key too.
const parser = new XMLParser({
  ignoreAttributes: true,
  parseTagValue: false,
  trimValues: false,
  isArray: (name) => REPEATED.has(name),
});

/** An XML document; members that are undefined are left out. */
export function renderXml(root: string, content: object): string {
  const attributes = root === 'Error' ? {} : { '@_xmlns': NAMESPACE };
  const body = builder.build({ [root]: { ...attributes, ...content } });
  return `<?xml version="1.0" encoding="UTF-8"?>\n${body}`;
}

/** An element: text, or children by name (a list for those in `REPEATED`). */
export type XmlNode = string | { readonly [name: string]: XmlNode | readonly XmlNode[] };

/** The content of the root element. Throws MalformedXML. */
export function parseXml(text: string, root: string): XmlNode {
  try {
    const document = parser.parse(text, true) as Record<string, XmlNode>;
    const content = document[root];
    if (content !== undefined) return content;
  } catch (cause) {
    throw new S3Error('MalformedXML', undefined, { cause });
  }
  throw new S3Error('MalformedXML', `The root element is not ${root}.`);
}

/** A child that is there once, or an empty element. */
export function child(node: XmlNode, name: string): XmlNode {
  return childList(node, name)[0] ?? '';
}

/** The text of a child, or undefined when there is none. */
export function childText(node: XmlNode, name: string): string | undefined {
  if (typeof node === 'string') return undefined;
  const child = node[name];
  return typeof child === 'string' ? child : undefined;
}

/** The children of a name that may repeat. */
export function childList(node: XmlNode, name: string): readonly XmlNode[] {
  if (typeof node === 'string') return [];
  const child = node[name];
  if (child === undefined) return [];
  return Array.isArray(child) ? (child as readonly XmlNode[]) : [child as XmlNode];
}
