package smserver_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/smserver"
)

// post asks without the SDK, which would not send such things.
func post(h http.Handler, target, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("X-Amz-Target", target)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestBadRequests(t *testing.T) {
	cases := []struct{ target, body, kind string }{
		{"secretsmanager.Nothing", "{}", "UnknownOperationException"},
		{"DynamoDB.GetSecretValue", "{}", "UnknownOperationException"},
		{"", "{}", "UnknownOperationException"},
		{"secretsmanager.GetSecretValue", "", "SerializationException"},
		{"secretsmanager.GetSecretValue", "{", "SerializationException"},
		{"secretsmanager.GetSecretValue", `{"SecretId":7}`, "SerializationException"},
		{"secretsmanager.GetSecretValue", `"` + strings.Repeat("x", 2<<20) + `"`, "SerializationException"},
		{"secretsmanager.GetSecretValue", "{}", "ValidationException"},
		{"secretsmanager.GetSecretValue", `{"SecretId":"` + strings.Repeat("x", 2049) + `"}`, "ValidationException"},
		{"secretsmanager.CreateSecret", `{"Name":"` + strings.Repeat("x", 513) + `"}`, "ValidationException"},
		{"secretsmanager.CreateSecret", `{"Name":"s","AddReplicaRegions":[{}]}`, "InvalidParameterException"},
		{"secretsmanager.CreateSecret", `{"Name":"s","ClientRequestToken":"short"}`, "InvalidParameterException"},
		{"secretsmanager.PutSecretValue", `{"SecretId":"s","SecretString":"x","VersionStages":[]}`, "ValidationException"},
		{"secretsmanager.PutSecretValue", `{"SecretId":"s","SecretString":"x","VersionStages":[""]}`, "ValidationException"},
		{"secretsmanager.ListSecrets", `{"MaxResults":101}`, "ValidationException"},
		{"secretsmanager.ListSecrets", `{"SortOrder":"up"}`, "ValidationException"},
		{"secretsmanager.ListSecrets", `{"SortBy":"name"}`, "InvalidParameterException"},
		{"secretsmanager.ListSecrets", `{"Filters":[{"Key":"color","Values":["red"]}]}`, "ValidationException"},
		{"secretsmanager.ListSecrets", `{"Filters":[{"Key":"name"}]}`, "ValidationException"},
		{"secretsmanager.ListSecrets", `{"NextToken":"bm9uc2Vuc2U"}`, "InvalidNextTokenException"},
		{"secretsmanager.GetRandomPassword", `{"PasswordLength":4097}`, "ValidationException"},
		{"secretsmanager.GetRandomPassword", `{"PasswordLength":3}`, "InvalidParameterException"},
		{"secretsmanager.GetRandomPassword", `{"ExcludeNumbers":true,"ExcludePunctuation":true,"ExcludeUppercase":true,"ExcludeLowercase":true}`, "InvalidParameterException"},
	}
	store := smserver.New()
	for _, c := range cases {
		w := post(store, c.target, c.body)
		var answer struct {
			Kind    string `json:"__type"`
			Message string
		}
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer), w.Body)
		require.Equal(t, c.kind, answer.Kind, "%s %.80s", c.target, c.body)
		require.NotEmpty(t, answer.Message)
		require.Equal(t, http.StatusBadRequest, w.Code)
	}
}

var fuzzOperations = []string{
	"CancelRotateSecret", "CreateSecret", "DeleteSecret", "DescribeSecret", "GetRandomPassword", "GetSecretValue",
	"ListSecretVersionIds", "ListSecrets", "PutSecretValue", "RestoreSecret", "RotateSecret", "TagResource",
	"UntagResource", "UpdateSecret", "UpdateSecretVersionStage",
}

// FuzzHandler asks twice, since the second request meets what the first has
// left: no answer is a panic, each is JSON, and an error has a type.
func FuzzHandler(f *testing.F) {
	for _, op := range fuzzOperations {
		f.Add("secretsmanager."+op, `{"SecretId":"s","Name":"s","SecretString":"x"}`, "secretsmanager."+op, `{"SecretId":"s"}`)
	}
	token := `"ClientRequestToken":"` + strings.Repeat("t", 32) + `"`
	f.Add("secretsmanager.PutSecretValue", `{"SecretId":"s","SecretBinary":"AAEC","VersionStages":["A","B"],`+token+`}`,
		"secretsmanager.UpdateSecretVersionStage", `{"SecretId":"s","VersionStage":"AWSCURRENT","MoveToVersionId":"`+strings.Repeat("t", 32)+`"}`)
	f.Add("secretsmanager.RotateSecret", `{"SecretId":"s","RotationLambdaARN":"arn:x","RotationRules":{"ScheduleExpression":"cron(0 8 * * ? *)"}}`,
		"secretsmanager.DescribeSecret", `{"SecretId":"s"}`)
	f.Add("", "", "secretsmanager.ListSecrets", `{"MaxResults":1,"NextToken":"e30","Filters":[{"Key":"name","Values":["!s"]}]}`)
	f.Fuzz(func(t *testing.T, target1, body1, target2, body2 string) {
		store := smserver.New()
		defer store.Close()
		post(store, "secretsmanager.CreateSecret", `{"Name":"s","SecretString":"first"}`)
		for _, w := range []*httptest.ResponseRecorder{post(store, target1, body1), post(store, target2, body2)} {
			var answer map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
				t.Fatalf("status %d: %q: %v", w.Code, w.Body, err)
			}
			kind, _ := answer["__type"].(string)
			if ok := w.Code == http.StatusOK; ok != (kind == "") || w.Code >= 500 {
				t.Errorf("status %d: %q", w.Code, w.Body)
			}
		}
	})
}
