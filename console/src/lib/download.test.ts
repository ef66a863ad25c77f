import { expect, it } from 'vitest';
import { csv } from './download';

it('quotes what needs it and runs nothing', () => {
  expect(csv([['name', 'n'], ['a "b", c', 1], ['=cmd()', null], ['two\nlines', -2]])).toBe('name,n\r\n"a ""b"", c",1\r\n\'=cmd(),\r\n"two\nlines",-2\r\n');
});
