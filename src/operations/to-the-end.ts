/**
 * Does the work for every item, one after another, also when it fails for some; then throws the first
 * error. For chores of which none may keep the others from being done.
 */
export async function toTheEnd<Item>(
  items: Iterable<Item>,
  work: (item: Item) => Promise<void>,
  onError: (error: unknown, item: Item) => void = () => {},
): Promise<void> {
  const errors: unknown[] = [];
  for (const item of items) {
    try {
      await work(item);
    } catch (error) {
      onError(error, item);
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
}
