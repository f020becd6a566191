// Prints what the program puts into the state for the password's provider: `{"text", "containsSecrets"}`.
import * as pulumi from "@pulumi/pulumi";
import { passwordProvider } from "../../providers/apisecPassword";

void pulumi.runtime
  .serializeFunction(() => passwordProvider, { allowSecrets: true })
  .then((result) => {
    const { text, containsSecrets, exportName } = result;
    process.stdout.write(JSON.stringify({ text, containsSecrets, exportName }));
  });
