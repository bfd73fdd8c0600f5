/** One message to the alert topic: written by Notify, Verify Backup and Reconcile. */
export interface AlertMessage {
  /** Under 100 characters, ASCII, no line breaks (SNS). */
  readonly subject: string;
  readonly text: string;
  readonly json: Record<string, unknown>;
  readonly attributes: Readonly<Record<string, string>>;
}
