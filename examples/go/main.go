// SPDX-License-Identifier: Apache-2.0

// Runs one promotion step with Gantry and waits until its Stage is healthy.
//
//	promote PROJECT/STAGE PROMOTION STEP.json
//
// STEP.json is {"uses": ..., "config": {...}}. The exit code is 0 when the step SUCCEEDED and the
// Stage is HEALTHY. GANTRY_SERVER names the server, 127.0.0.1:50051 by default.
//
// The package gantryv1 is generated from proto/ (examples/generate.sh). The service answers every
// call the same way however often it is made, so a call that failed is simply made again.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	gantryv1 "gantry.dev/examples/promote/gantry/v1"
)

// One call is held for up to 30 seconds while the step is under way.
const wait = 30 * time.Second

// gRPC repeats by itself what the service could not judge.
const serviceConfig = `{"methodConfig": [{
	"name": [{"service": "gantry.v1.PromotionStepService"}],
	"retryPolicy": {
		"maxAttempts": 5,
		"initialBackoff": "0.5s",
		"maxBackoff": "10s",
		"backoffMultiplier": 2,
		"retryableStatusCodes": ["UNAVAILABLE"]
	}
}]}`

type step struct {
	Uses   string         `json:"uses"`
	Config map[string]any `json:"config"`
}

func runStep(client gantryv1.PromotionStepServiceClient, request *gantryv1.RunStepRequest) error {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), wait+10*time.Second)
		response, err := client.RunStep(ctx, request)
		cancel()
		if err != nil {
			return err
		}
		status := strings.TrimPrefix(response.Status.String(), "STEP_STATUS_")
		fmt.Printf("%s: %s\n", status, response.Message)
		for _, violation := range response.Violations {
			fmt.Printf("  %s: %s\n", violation.Field, violation.Description)
		}
		switch response.Status {
		case gantryv1.StepStatus_STEP_STATUS_SUCCEEDED:
			return nil
		case gantryv1.StepStatus_STEP_STATUS_RUNNING:
			// argocd-wait compares with what it saw before.
			request.PreviousOutput = response.Output
		default:
			return errors.New("the step ended as " + status)
		}
	}
}

// awaitHealthy follows the Stage instead of asking again and again.
func awaitHealthy(client gantryv1.PromotionStepServiceClient, project, stage string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	stream, err := client.WatchStageHealth(ctx, &gantryv1.WatchStageHealthRequest{Project: project, Stage: stage})
	if err != nil {
		return err
	}
	for {
		event, err := stream.Recv()
		if err != nil {
			return err
		}
		health := event.GetUpdated()
		if health == nil {
			continue
		}
		state := strings.TrimPrefix(health.State.String(), "HEALTH_STATE_")
		fmt.Printf("%s/%s is %s\n", health.Project, health.Stage, state)
		for _, issue := range health.Issues {
			fmt.Println(" ", issue)
		}
		if health.State == gantryv1.HealthState_HEALTH_STATE_HEALTHY {
			return nil
		}
	}
}

func promote(args []string) error {
	if len(args) != 3 {
		return errors.New("usage: promote PROJECT/STAGE PROMOTION STEP.json")
	}
	project, stage, found := strings.Cut(args[0], "/")
	if !found {
		return fmt.Errorf("%q is not PROJECT/STAGE", args[0])
	}
	text, err := os.ReadFile(args[2])
	if err != nil {
		return err
	}
	var what step
	if err := json.Unmarshal(text, &what); err != nil {
		return fmt.Errorf("%s: %w", args[2], err)
	}
	config, err := structpb.NewStruct(what.Config)
	if err != nil {
		return fmt.Errorf("%s: %w", args[2], err)
	}
	server := os.Getenv("GANTRY_SERVER")
	if server == "" {
		server = "127.0.0.1:50051"
	}
	connection, err := grpc.Dial(server,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(serviceConfig))
	if err != nil {
		return err
	}
	defer connection.Close()
	client := gantryv1.NewPromotionStepServiceClient(connection)
	err = runStep(client, &gantryv1.RunStepRequest{
		Project:   project,
		Stage:     stage,
		Promotion: args[1],
		Uses:      what.Uses,
		Config:    config,
		Wait:      durationpb.New(wait),
	})
	if err != nil {
		return err
	}
	return awaitHealthy(client, project, stage)
}

func main() {
	if err := promote(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
