import { newPassword } from "../../core/newPassword";

const many = Array.from({ length: 4_000 }, newPassword);

test("has 32 characters that need no quoting anywhere, a letter first", () => {
  for (const password of many) {
    expect(password).toMatch(/^[A-Za-z][A-Za-z0-9._-]{31}$/);
    expect(encodeURIComponent(password)).toBe(password);
    expect(JSON.stringify(password)).toBe(`"${password}"`);
  }
});

test("has each class of characters", () => {
  for (const password of many) {
    for (const some of [/[a-z]/, /[A-Z]/, /[0-9]/, /[-_.]/]) expect(password).toMatch(some);
  }
});

test("is another one each time", () => {
  expect(new Set(many).size).toBe(many.length);
});

test("uses every letter and digit about as often", () => {
  const counts = new Map<string, number>();
  for (const character of many.map((password) => password.slice(1)).join("")) {
    counts.set(character, (counts.get(character) ?? 0) + 1);
  }
  expect(counts.size).toBe(65);
  // Each password has one of the three signs at least, so those come more often.
  const even = [...counts].filter(([character]) => /[a-z0-9]/i.test(character));
  expect(even).toHaveLength(62);
  const mean = even.reduce((sum, [, count]) => sum + count, 0) / even.length;
  // Some 1,900 each: 7 standard deviations.
  for (const [, count] of even) expect(Math.abs(count - mean)).toBeLessThan(7 * Math.sqrt(mean));
});
