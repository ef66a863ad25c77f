/** Server-sent events; the browser asks again by itself when the stream breaks. Returns the way to stop. */
export function listen(url: string, told: (data: string) => void, state: (open: boolean) => void): () => void {
  const source = new EventSource(url);
  source.onmessage = message => told(message.data);
  source.onopen = () => state(true);
  source.onerror = () => state(false);
  return () => source.close();
}
