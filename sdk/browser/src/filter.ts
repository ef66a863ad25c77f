// Texts in the filter language of requests.

/** A text as a filter reads it back, whatever quotes and backslashes it has. */
export const quoted = (text: string): string => `"${text.replace(/[\\"]/g, '\\$&')}"`;
