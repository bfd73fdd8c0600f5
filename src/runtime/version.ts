import packageJson from '../../package.json' with { type: 'json' };

/** The version written into manifests and alerts: package.json's. */
export const TOOL_VERSION: string = packageJson.version;
