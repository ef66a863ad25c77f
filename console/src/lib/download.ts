// What is on the screen as a file: tables as CSV, charts as PNG. Nothing is sent anywhere.
export type Cell = string | number | boolean | null | undefined;

/** RFC 4180; a text that a spreadsheet would run as a formula is kept a text. */
export function csv(rows: Cell[][]): string {
  const cell = (value: Cell): string => {
    if (typeof value === 'number' || typeof value === 'boolean') return String(value);
    const text = value ?? '';
    const inert = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(inert) ? `"${inert.replaceAll('"', '""')}"` : inert;
  };
  return rows.map(row => row.map(cell).join(',')).join('\r\n') + '\r\n';
}

function save(name: string, address: string): void {
  const anchor = document.createElement('a');
  anchor.href = address;
  anchor.download = name;
  anchor.click();
}

function saveText(name: string, text: string, type: string): void {
  const address = URL.createObjectURL(new Blob([text], { type }));
  save(name, address);
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

export const saveCsv = (name: string, rows: Cell[][]): void => saveText(`${name}.csv`, csv(rows), 'text/csv;charset=utf-8');
export const saveJson = (name: string, value: unknown): void => saveText(`${name}.json`, JSON.stringify(value, null, 2), 'application/json');

export function savePng(name: string, canvas: HTMLCanvasElement): void {
  save(`${name}.png`, canvas.toDataURL('image/png'));
}
