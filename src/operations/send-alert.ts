import type { AlertMessage } from '#contracts/alert-message.ts';
import { LOG } from '#runtime/log-events.ts';
import type { Deps } from '#runtime/ports.ts';

/** Publishes the message and logs that it went out. Throws what SNS answers. */
export async function sendAlert(
  { alerts, log }: Pick<Deps, 'alerts' | 'log'>,
  message: AlertMessage,
): Promise<void> {
  await alerts.publish(message);
  log.info(LOG.alertSent, { subject: message.subject, ...message.attributes });
}
