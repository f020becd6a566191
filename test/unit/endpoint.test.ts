import { readEndpoint } from "../../net/endpoint";

test.each([
  ["https://a.example", "https://a.example"],
  ["https://A.example:443//", "https://a.example"],
  ["https://a.example:8200", "https://a.example:8200"],
  ["https://[2001:db8::1]:8200", "https://[2001:db8::1]:8200"],
  ["http://127.0.0.1:8200", "http://127.0.0.1:8200"],
  ["http://localhost", "http://localhost"],
  ["http://[::1]", "http://[::1]"],
  // As the URL parser reads them: still this machine.
  ["http://127.1", "http://127.0.0.1"],
  ["http://0x7f000001", "http://127.0.0.1"],
])("%s is an address", (text, address) => {
  expect(readEndpoint(text, "origin")).toEqual({ address });
});

test("with a path where one may be", () => {
  expect(readEndpoint("https://a.example/vault/", "path")).toEqual({
    address: "https://a.example/vault",
  });
});

test.each([
  ["", "is not a URL"],
  ["a.example", "is not a URL"],
  ["http://a.example", "is not https (plain http is accepted on this machine only)"],
  ["http://localhost.a.example", "is not https (plain http is accepted on this machine only)"],
  ["http://128.0.0.1", "is not https (plain http is accepted on this machine only)"],
  ["ftp://127.0.0.1", "is not https (plain http is accepted on this machine only)"],
  ["javascript:alert(1)", "is not https (plain http is accepted on this machine only)"],
  ["https://user@a.example", "carries a user name"],
  ["https://:password@a.example", "carries a user name"],
  ["https://a.example?x", "has a query or a fragment"],
  ["https://a.example#x", "has a query or a fragment"],
  ["https://a.example/x", "has a path"],
])("%s is none: %s", (text, problem) => {
  expect(readEndpoint(text, "origin")).toEqual({ problem });
});
