// Bars and intervals as a picture: what the page shows with elements, drawn again on a canvas of its own, in the theme's colours.
import { savePng } from './download';

export type Tone = 'good' | 'warn' | 'bad' | 'open' | '';
/** A band on an axis, with a mark where the estimate lies; a bar is a band from nothing on. */
export interface Band { label: string; words: string; from: number; to: number; mark?: number | null; tone?: Tone }
export interface Axis { from: number; to: number }

const WIDTH = 900;
const ROW = 34;
const HEAD = 48;
const LEFT = 300;
const RIGHT = 240;
const EDGE = 20;
/** Two points a pixel, for screens and print. */
const SCALE = 2;
const COLOURS: Record<Tone, string> = { good: '--good', warn: '--chart-2', bad: '--bad', open: '--faint', '': '--chart-1' };

/** What holds all bands and nothing itself. */
export function axisOf(bands: Band[]): Axis {
  const ends = bands.flatMap(band => [band.from, band.to, band.mark ?? 0]);
  const [from, to] = [Math.min(0, ...ends), Math.max(0, ...ends)];
  return from === to ? { from: 0, to: 1 } : { from, to };
}

/** Where a value lies in the picture, in pixels; what is beyond the axis lies at its end. */
export function place(value: number, axis: Axis): number {
  const share = (Math.max(axis.from, Math.min(axis.to, value)) - axis.from) / (axis.to - axis.from);
  return LEFT + share * (WIDTH - LEFT - RIGHT);
}

export function saveBands(name: string, bands: Band[], axis: Axis = axisOf(bands)): void {
  const canvas = document.createElement('canvas');
  canvas.width = WIDTH * SCALE;
  canvas.height = (HEAD + ROW * bands.length + EDGE) * SCALE;
  const context = canvas.getContext('2d');
  if (!context) return;
  context.scale(SCALE, SCALE);
  draw(context, name, bands, axis);
  savePng(name, canvas);
}

function draw(context: CanvasRenderingContext2D, name: string, bands: Band[], axis: Axis): void {
  const theme = getComputedStyle(document.documentElement);
  const paint = (role: string) => { context.fillStyle = theme.getPropertyValue(role).trim(); };
  const write = (text: string, x: number, y: number, most: number, right = false) => {
    context.textAlign = right ? 'right' : 'left';
    context.fillText(shortened(text, most, shown => context.measureText(shown).width), x, y);
  };
  context.textBaseline = 'middle';
  paint('--surface');
  context.fillRect(0, 0, WIDTH, HEAD + ROW * bands.length + EDGE);
  paint('--ink');
  context.font = '600 16px system-ui';
  write(name, EDGE, HEAD / 2, WIDTH - 2 * EDGE);
  context.font = '13px system-ui';
  for (const [at, band] of bands.entries()) {
    const middle = HEAD + ROW * at + ROW / 2;
    paint('--ink');
    write(band.label, EDGE, middle, LEFT - 2 * EDGE);
    write(band.words, WIDTH - EDGE, middle, RIGHT - 2 * EDGE, true);
    paint('--sunken');
    context.fillRect(LEFT, middle - 5, WIDTH - LEFT - RIGHT, 10);
    const [from, to] = [place(band.from, axis), place(band.to, axis)];
    paint(COLOURS[band.tone ?? '']);
    context.globalAlpha = band.mark === undefined ? 1 : 0.4;
    context.fillRect(from, middle - 5, Math.max(to - from, 2), 10);
    context.globalAlpha = 1;
    if (typeof band.mark === 'number') context.fillRect(place(band.mark, axis) - 1.5, middle - 9, 3, 18);
  }
  if (axis.from < 0) {
    paint('--line-strong');
    context.fillRect(place(0, axis), HEAD, 1, ROW * bands.length);
  }
}

/** As much of a text as is not wider than `most`. */
export function shortened(text: string, most: number, width: (text: string) => number): string {
  if (width(text) <= most) return text;
  let length = text.length;
  while (length > 0 && width(`${text.slice(0, length)}…`) > most) length -= 1;
  return `${text.slice(0, length)}…`;
}
