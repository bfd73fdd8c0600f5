/** Status and text of the answers that S3 documents and this store can give. */
const ANSWERS = {
  AccessDenied: [403, 'Access Denied'],
  BadDigest: [400, 'The checksum you specified did not match what was received.'],
  BadRequest: [400, 'Bad request.'],
  BucketAlreadyOwnedByYou: [409, 'The bucket exists already and is yours.'],
  ConditionalRequestConflict: [409, 'A conflicting conditional operation is in progress.'],
  EntityTooLarge: [400, 'The upload is larger than the largest allowed size.'],
  EntityTooSmall: [400, 'A part is smaller than 5 MiB and is not the last one.'],
  IncompleteBody: [400, 'Fewer bytes came than the headers announced.'],
  InternalError: [500, 'We encountered an internal error. Please try again.'],
  InvalidArgument: [400, 'Invalid argument.'],
  InvalidBucketName: [400, 'The bucket name is not valid.'],
  InvalidDigest: [400, 'The Content-MD5 you specified is not valid.'],
  InvalidObjectState: [403, 'The object is archived: restore it before reading it.'],
  InvalidPart: [400, 'A part was not found, or its ETag or checksum is another one.'],
  InvalidPartOrder: [400, 'The list of parts was not in ascending order.'],
  InvalidRange: [416, 'The requested range is not satisfiable.'],
  InvalidRequest: [400, 'Invalid request.'],
  InvalidStorageClass: [400, 'The storage class is not valid.'],
  InvalidTag: [400, 'A tag is not valid.'],
  InvalidURI: [400, 'The address could not be parsed.'],
  KeyTooLongError: [400, 'The key is longer than 1,024 bytes.'],
  MalformedTrailerError: [400, 'The request has trailing headers that cannot be read.'],
  MalformedXML: [400, 'The XML is not well-formed or not of the expected shape.'],
  MethodNotAllowed: [405, 'The method is not allowed on this resource.'],
  MissingContentLength: [411, 'The Content-Length header is missing.'],
  NoSuchBucket: [404, 'The bucket does not exist.'],
  NoSuchKey: [404, 'The key does not exist.'],
  NoSuchObjectLockConfiguration: [404, 'The object has no lock configuration.'],
  NoSuchUpload: [404, 'The multipart upload does not exist: aborted, completed or never begun.'],
  NoSuchVersion: [404, 'The version does not exist.'],
  NotImplemented: [501, 'This store does not implement what the request asks for.'],
  PreconditionFailed: [412, 'At least one of the preconditions did not hold.'],
  RestoreAlreadyInProgress: [409, 'The object is being restored already.'],
  SlowDown: [503, 'Please reduce your request rate.'],
  XAmzContentSHA256Mismatch: [400, 'x-amz-content-sha256 does not match what was received.'],
} as const satisfies Record<string, readonly [number, string]>;

export type S3ErrorCode = keyof typeof ANSWERS;

/**
 * An answer of the S3 protocol that is not a success. It is thrown inside the store only and always
 * ends as `<Error>` XML; what a client makes of it is the client's business.
 */
export class S3Error extends Error {
  override readonly name = 'S3Error';
  readonly code: string;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Further elements of the XML. */
  readonly details: Readonly<Record<string, string>>;

  /** The answer that a fault asks for, whether S3 documents it or not. */
  static injected(answer: { readonly status: number; readonly code: string }): S3Error {
    return new S3Error(answer.code as S3ErrorCode, 'Injected fault.', { status: answer.status });
  }

  constructor(
    code: S3ErrorCode,
    message: string = ANSWERS[code][1],
    options: {
      status?: number;
      headers?: Record<string, string>;
      details?: Record<string, string>;
      cause?: unknown;
    } = {},
  ) {
    super(message, { cause: options.cause });
    this.code = code;
    this.status = options.status ?? ANSWERS[code][0];
    this.headers = options.headers ?? {};
    this.details = options.details ?? {};
  }
}
