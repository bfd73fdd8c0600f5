declare module 'pgpass' {
  /** Looks a connection up in the password file; undefined when no line fits. */
  export default function pgpass(
    connection: { host: string; port: number; user: string; database: string },
    callback: (password: string | undefined) => void,
  ): void;
}
