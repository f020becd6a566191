import fc from "../support/fastCheck";
import { markTexts, openSince, parseMark } from "../../core/mark";

const versions = {
  3: { created_time: "2026-11-01T00:00:00Z" },
  4: { created_time: "2026-11-02T00:00:00Z" },
  5: { created_time: "2026-11-03T00:00:00Z" },
};

test.each([
  [5, undefined],
  [3, "2026-11-02T00:00:00Z"],
  [4, "2026-11-03T00:00:00Z"],
  [undefined, undefined],
])("a mark of version %s of 5: a change is open since %s", (version, since) => {
  expect(openSince({ version }, 5, versions)).toBe(since);
});

test("what is written is read again, whatever others have put beside it", () => {
  const text = fc.string({ minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(
      fc.record({ version: fc.integer({ min: 1, max: 9_999 }), owner: text }),
      fc.dictionary(fc.stringMatching(/^x_[a-z]{1,8}$/), text, { maxKeys: 5 }),
      ({ version, owner }, others) => {
        const texts = { ...others, owner, version: String(version), verified_at: "not a time" };
        const mark = parseMark(texts);
        expect(mark).toMatchObject({ version, owner, verifiedAt: undefined });
        expect(parseMark(markTexts(mark))).toEqual(mark);
        expect(Object.values(markTexts(mark)).every((one) => one.length >= 1)).toBe(true);
      },
    ),
  );
});
