import "./endWithEngine";

/** All that dist/passwordProvider.cjs holds: see code.ts. */
export { keySettingsMethods } from "./keySettingsMethods";
export { passwordMethods } from "./passwordMethods";
