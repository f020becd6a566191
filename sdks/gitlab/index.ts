export * from "./getGroup";
export * from "./getProject";
export * from "./pipelineSchedule";
export * from "./projectVariable";
export * from "./provider";
export * from "./repositoryFile";
