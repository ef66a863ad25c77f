import { expect, it } from 'vitest';
import { axisOf, place, shortened } from './picture';

it('holds every band and nothing itself on its axis', () => {
  expect(axisOf([{ label: 'a', words: '', from: 0, to: 4 }, { label: 'b', words: '', from: 0, to: 9 }])).toEqual({ from: 0, to: 9 });
  expect(axisOf([{ label: 'a', words: '', from: -0.2, to: -0.1, mark: -0.15 }])).toEqual({ from: -0.2, to: 0 });
  expect(axisOf([{ label: 'a', words: '', from: 0, to: 0 }])).toEqual({ from: 0, to: 1 });
});

it('keeps what is beyond the axis at its end', () => {
  const axis = { from: -1, to: 1 };
  expect(place(-5, axis)).toBe(place(-1, axis));
  expect(place(0, axis)).toBe((place(-1, axis) + place(1, axis)) / 2);
});

it('shortens what is too wide', () => {
  const width = (text: string) => text.length;
  expect(shortened('department', 20, width)).toBe('department');
  expect(shortened('department', 5, width)).toBe('depa…');
});
