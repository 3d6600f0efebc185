/** Vite: the address of a built worker. */
declare module '*?worker&url' {
  const url: string;
  export default url;
}

/** Vite: what each file that the pattern matches becomes. */
interface ImportMeta {
  glob(pattern: string, options: { readonly query: '?url'; readonly import: 'default'; readonly eager: true }): Readonly<Record<string, string>>;
}

/** What the package's own entry for modules does not name. */
declare module '@xterm/headless/lib-headless/xterm-headless.mjs' {
  export { Terminal } from '@xterm/headless';
}
