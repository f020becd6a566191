// Makes the calls of the official GitLab plugin with the client that the plugin is built on, and prints what that
// client understood. It reads one call a line from standard input and writes one answer a line:
//
//	{"call": "GetFile", "project": "a/b", "name": ".gitlab-ci.yml", "options": {"ref": "main"}}
//	{"value": {...}}  or  {"status": 404, "error": "404 Not Found"}
//
// GITLAB_BASE_URL and GITLAB_TOKEN say where and as whom. The client's own tries and waits apply.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/hashicorp/go-retryablehttp"
	gitlab "gitlab.com/gitlab-org/api/client-go"
)

type call struct {
	Call    string          `json:"call"`
	Project string          `json:"project"`
	ID      int64           `json:"id"`
	Name    string          `json:"name"`
	Scope   string          `json:"scope"`
	Options json.RawMessage `json:"options"`
}

type answer struct {
	Value  any    `json:"value,omitempty"`
	Next   string `json:"next,omitempty"`
	Status int    `json:"status,omitempty"`
	Error  string `json:"error,omitempty"`
}

// options reads a call's options into the client's own type, under the names of the API.
func options[T any](c call) *T {
	read := new(T)
	if len(c.Options) > 0 {
		if err := json.Unmarshal(c.Options, read); err != nil {
			panic(err)
		}
	}
	return read
}

// inScope puts the filter into the query of every method, as the plugin does.
func inScope(scope string) gitlab.RequestOptionFunc {
	return func(request *retryablehttp.Request) error {
		query := request.URL.Query()
		query.Set("filter[environment_scope]", scope)
		request.URL.RawQuery = query.Encode()
		return nil
	}
}

func run(git *gitlab.Client, c call) (any, *gitlab.Response, error) {
	schedules, variables, files := git.PipelineSchedules, git.ProjectVariables, git.RepositoryFiles
	switch c.Call {
	case "CurrentUser":
		return with(git.Users.CurrentUser())
	case "GetProject":
		return with(git.Projects.GetProject(c.Project, nil))
	case "ListProjects":
		return with(git.Projects.ListProjects(options[gitlab.ListProjectsOptions](c)))
	case "GetProjectPushRules":
		return with(git.Projects.GetProjectPushRules(c.Project))
	case "GetGroup":
		return with(git.Groups.GetGroup(c.Name, nil))

	case "CreatePipelineSchedule":
		return with(schedules.CreatePipelineSchedule(c.Project, options[gitlab.CreatePipelineScheduleOptions](c)))
	case "ListPipelineSchedules":
		return with(schedules.ListPipelineSchedules(c.Project, options[gitlab.ListPipelineSchedulesOptions](c)))
	case "GetPipelineSchedule":
		return with(schedules.GetPipelineSchedule(c.Project, c.ID))
	case "EditPipelineSchedule":
		return with(schedules.EditPipelineSchedule(c.Project, c.ID, options[gitlab.EditPipelineScheduleOptions](c)))
	case "TakeOwnershipOfPipelineSchedule":
		return with(schedules.TakeOwnershipOfPipelineSchedule(c.Project, c.ID))
	case "RunPipelineSchedule":
		return nothing(schedules.RunPipelineSchedule(c.Project, c.ID))
	case "ListPipelinesTriggeredBySchedule":
		return with(schedules.ListPipelinesTriggeredBySchedule(c.Project, c.ID, nil))
	case "DeletePipelineSchedule":
		return nothing(schedules.DeletePipelineSchedule(c.Project, c.ID))

	case "CreateVariable":
		return with(variables.CreateVariable(c.Project, options[gitlab.CreateProjectVariableOptions](c)))
	case "GetVariable":
		return with(variables.GetVariable(c.Project, c.Name, nil, inScope(c.Scope)))
	case "UpdateVariable":
		read := options[gitlab.UpdateProjectVariableOptions](c)
		return with(variables.UpdateVariable(c.Project, c.Name, read, inScope(c.Scope)))
	case "RemoveVariable":
		return nothing(variables.RemoveVariable(c.Project, c.Name, nil, inScope(c.Scope)))

	case "GetFile":
		return with(files.GetFile(c.Project, c.Name, options[gitlab.GetFileOptions](c)))
	case "CreateFile":
		return with(files.CreateFile(c.Project, c.Name, options[gitlab.CreateFileOptions](c)))
	case "UpdateFile":
		return with(files.UpdateFile(c.Project, c.Name, options[gitlab.UpdateFileOptions](c)))
	case "DeleteFile":
		return nothing(files.DeleteFile(c.Project, c.Name, options[gitlab.DeleteFileOptions](c)))

	case "GetPipeline":
		return with(git.Pipelines.GetPipeline(c.Project, c.ID))
	case "ListPipelineJobs":
		return with(git.Jobs.ListPipelineJobs(c.Project, c.ID, nil))
	}
	return nil, nil, fmt.Errorf("no call %q", c.Call)
}

func with[T any](value T, response *gitlab.Response, err error) (any, *gitlab.Response, error) {
	return value, response, err
}

func nothing(response *gitlab.Response, err error) (any, *gitlab.Response, error) {
	return nil, response, err
}

func answerOf(value any, response *gitlab.Response, err error) answer {
	if err == nil {
		return answer{Value: value, Status: response.StatusCode, Next: response.NextLink}
	}
	refused := answer{Error: err.Error()}
	var said *gitlab.ErrorResponse
	if errors.As(err, &said) {
		refused.Status = said.Response.StatusCode
	} else if response != nil {
		refused.Status = response.StatusCode
	}
	return refused
}

func main() {
	git, err := gitlab.NewOAuthClient(os.Getenv("GITLAB_TOKEN"), gitlab.WithBaseURL(os.Getenv("GITLAB_BASE_URL")))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for in.More() {
		var c call
		if err := in.Decode(&c); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if err := out.Encode(answerOf(run(git, c))); err != nil {
			os.Exit(1)
		}
	}
}
