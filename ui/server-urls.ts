/** Where the server has what a worker reads by itself. */
export function serverLogUrl(id: string): string {
  return new URL(`./api/recordings/${encodeURIComponent(id)}/log`, location.href).href;
}

export function serverImageUrl(): string {
  return new URL('./api/images/', location.href).href;
}
