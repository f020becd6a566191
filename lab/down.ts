import * as path from "node:path";
import { stopWorld } from "./world";

const lab = path.join(__dirname, "..", ".lab");

stopWorld(lab)
  .then((any) => {
    console.log(
      any
        ? "The lab is stopped. Its data stay in .lab: `make up` goes on from there, `make clean` removes them."
        : "No lab is running.",
    );
  })
  .catch((error: Error) => {
    console.error(`make down stopped: ${error.message}`);
    process.exit(1);
  });
