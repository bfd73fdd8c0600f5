/** Console hosts by the partition of an ARN. Isolated partitions have no public one. */
const HOSTS: Readonly<Record<string, (region: string) => string>> = {
  aws: (region) => `${region}.console.aws.amazon.com`,
  'aws-cn': (region) => `${region}.console.amazonaws.cn`,
  'aws-us-gov': () => 'console.amazonaws-us-gov.com',
};

/** Where the console shows the execution; undefined when the ARN is none or has no public console. */
export function executionLink(executionArn: string): string | undefined {
  const match = /^arn:([a-z-]+):states:([a-z0-9-]+):\d{12}:execution:[^:]+:[^:]+$/.exec(
    executionArn,
  );
  const [, partition = '', region = ''] = match ?? [];
  const host = HOSTS[partition]?.(region);
  if (!host) return undefined;
  const path = encodeURI(executionArn);
  return `https://${host}/states/home?region=${region}#/v2/executions/details/${path}`;
}
