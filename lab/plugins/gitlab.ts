import { configure } from "./gitlab/connection";
import { getGroup, getProject, getRepositoryFile } from "./gitlab/functions";
import { pipelineSchedule } from "./gitlab/pipelineSchedule";
import { projectVariable } from "./gitlab/projectVariable";
import { repositoryFile } from "./gitlab/repositoryFile";
import { serve } from "./server";

serve({
  version: "10.1.1",
  config: ["token", "baseUrl", "earlyAuthCheck", "retries"],
  secretConfig: ["token"],
  configure,
  types: {
    "gitlab:index/pipelineSchedule:PipelineSchedule": pipelineSchedule,
    "gitlab:index/projectVariable:ProjectVariable": projectVariable,
    "gitlab:index/repositoryFile:RepositoryFile": repositoryFile,
  },
  functions: {
    "gitlab:index/getGroup:getGroup": getGroup,
    "gitlab:index/getProject:getProject": getProject,
    "gitlab:index/getRepositoryFile:getRepositoryFile": getRepositoryFile,
  },
});
