import { plainAttributes } from '../../protocol/items';

describe('an item as plain attributes', () => {
  it('has texts and numbers, and nothing else', () => {
    const item = { a: { S: 'text' }, b: { N: '42' }, c: { BOOL: true }, d: { L: [{ S: 'x' }] }, e: { N: '' } };
    expect(plainAttributes(item as never)).toEqual({ a: 'text', b: 42, e: 0 });
  });

  it('never throws: a number that JavaScript cannot hold is rounded, or none', () => {
    expect(plainAttributes({ v: { N: '9007199254740993.5' }, w: { N: '1e999' }, x: { N: 'poison' } })).toEqual({
      v: 9007199254740994,
      w: Infinity,
      x: NaN,
    });
  });
});
