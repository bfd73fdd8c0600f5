import { type DecodeText, decodeText, parseToc, type Toc, textAt } from './toc.ts';

/**
 * The texts of an archive are in the encoding of the dumped database, which its entry ENCODING names. What is sent
 * to a server goes there as the bytes it is; this is for names that are compared with others, shown, or asked for.
 *
 * Held against the conversions of PostgreSQL 18 byte by byte (test/integration/archive-text-encoding.test.ts).
 * EUC_JIS_2004, EUC_TW and MULE_INTERNAL have no decoder here: what is not UTF-8 is read as Latin-1 there.
 */
interface Encoding {
  /** By its name at https://encoding.spec.whatwg.org; undefined: Latin-1, which has another meaning there. */
  readonly label?: string;
  /** Characters for which PostgreSQL has another one. */
  readonly changes?: Readonly<Record<string, string>>;
}

const ENCODINGS: Readonly<Record<string, Encoding>> = {
  LATIN1: {},
  LATIN2: { label: 'iso-8859-2' },
  LATIN3: { label: 'iso-8859-3' },
  LATIN4: { label: 'iso-8859-4' },
  // The decoder of that name is Windows-1254, which has letters in the place of control characters.
  LATIN5: { changes: { Ð: 'Ğ', Ý: 'İ', Þ: 'Ş', ð: 'ğ', ý: 'ı', þ: 'ş' } },
  LATIN6: { label: 'iso-8859-10' },
  LATIN7: { label: 'iso-8859-13' },
  LATIN8: { label: 'iso-8859-14' },
  LATIN9: { label: 'iso-8859-15' },
  LATIN10: { label: 'iso-8859-16' },
  ISO_8859_5: { label: 'iso-8859-5' },
  ISO_8859_6: { label: 'iso-8859-6' },
  ISO_8859_7: { label: 'iso-8859-7' },
  ISO_8859_8: { label: 'iso-8859-8' },
  WIN866: { label: 'ibm866' },
  WIN874: { label: 'windows-874' },
  WIN1250: { label: 'windows-1250' },
  WIN1251: { label: 'windows-1251' },
  WIN1252: { label: 'windows-1252' },
  WIN1253: { label: 'windows-1253' },
  WIN1254: { label: 'windows-1254' },
  WIN1255: { label: 'windows-1255' },
  WIN1256: { label: 'windows-1256' },
  WIN1257: { label: 'windows-1257' },
  WIN1258: { label: 'windows-1258' },
  KOI8R: { label: 'koi8-r' },
  KOI8U: { label: 'koi8-u', changes: { ў: '╝', Ў: '╬' } },
  EUC_JP: { label: 'euc-jp', changes: { '¦': '￤' } },
  EUC_KR: { label: 'euc-kr' },
  EUC_CN: { label: 'gbk', changes: { '·': '・', '—': '―' } },
};

/** How texts of that encoding are read; undefined: as {@link decodeText} does. `encoding`: as PostgreSQL names it. */
export function decoderOf(encoding: string): DecodeText | undefined {
  if (!Object.hasOwn(ENCODINGS, encoding)) return undefined;
  const { label, changes } = ENCODINGS[encoding] as Encoding;
  const decoder = label === undefined ? undefined : new TextDecoder(label, { fatal: true });
  const differing = changes && new RegExp(`[${Object.keys(changes).join('')}]`, 'gu');
  return (bytes) => {
    const text = decoder ? tryDecode(decoder, bytes) : bytes.toString('latin1');
    // So that no two names become the same, whatever their bytes are.
    if (text === undefined) return bytes.toString('latin1');
    return differing ? text.replaceAll(differing, (it) => changes[it] ?? it) : text;
  };
}

function tryDecode(decoder: InstanceType<typeof TextDecoder>, bytes: Buffer): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

/** The same table of contents with its names as the database has them. `head`: what it was parsed from. */
export function readableToc(head: Buffer, toc: Toc = parseToc(head)): Toc {
  const definition = toc.entries.find(({ desc }) => desc === 'ENCODING')?.definition;
  const encoding = definition && /'(\w+)'/.exec(textAt(head, definition))?.[1];
  const decode = encoding === undefined ? undefined : decoderOf(encoding);
  return decode ? parseToc(head, decode) : toc;
}

/**
 * What {@link decodeText} made of a name, as `decode` reads it: older records have names as that reads them. Where
 * Latin-1 and UTF-8 could both be behind it, the one that is a text in the encoding.
 */
export function readAgain(recorded: string, decode: DecodeText): string {
  const possible = [Buffer.from(recorded, 'latin1'), Buffer.from(recorded)].filter(
    (bytes) => decodeText(bytes) === recorded,
  );
  const read = possible.find((bytes) => decode(bytes) !== bytes.toString('latin1'));
  return decode(read ?? possible[0] ?? Buffer.from(recorded));
}
