import fc from "fast-check";
import { seed } from "./seed";

// A property that fails prints its seed, too.
fc.configureGlobal({ seed });

export default fc;
