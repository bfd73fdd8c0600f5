/**
 * An answer that is an error, under the code that the real service uses. These travel over the wire
 * and come out of the SDK as its exceptions, so they are AWS's names and not those of `#errors`.
 */
export class ServiceError extends Error {
  override readonly name = 'ServiceError';
  readonly code: string;
  readonly httpStatus: number;

  constructor(code: string, message: string, httpStatus = 400) {
    super(message);
    this.code = code;
    this.httpStatus = httpStatus;
  }
}
