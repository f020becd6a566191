/** A control that auditors name, in plain words, and what of the evidence speaks to it. It claims no compliance. */
export interface Control {
  id: string;
  asks: string;
  here: string;
  /** What the evidence cannot show. */
  not: string;
}

export const controls: readonly Control[] = [
  {
    id: "PCI DSS 8.6.3",
    asks: "Passwords of application and system accounts are protected against misuse: changed as often as your own risk analysis says and when compromise is suspected, and strong enough for that.",
    here: "password changes with their dates, `passwordMaxAge` as the limit in the findings, reads by people and whether a change followed",
    not: "your risk analysis; that the limit follows from it",
  },
  {
    id: "NIST SP 800-53 IA-5",
    asks: "Authenticators are managed from issue to end: who gets one, how it is protected, when it is changed and revoked.",
    here: "password changes and who made them, tokens issued and missed runs, verifications, who may read what",
    not: "how APIsec checked who asked for the account",
  },
  {
    id: "SOC 2 CC6.1",
    asks: "Logical access to protected assets is restricted to those who are authorised.",
    here: "the access table, who has read a password, findings about policies, roles and groups with begin and end",
    not: "who the members of a group are, and who has approved them",
  },
  {
    id: "ISO/IEC 27001 A.5.17",
    asks: "Authentication information is allocated and managed by a process, and its users know how to handle it.",
    here: "password changes, break-glass reads and the change that followed, findings over time",
    not: "what people were told",
  },
];
