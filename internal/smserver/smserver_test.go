package smserver_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/internal/smserver"
	"github.com/rekey-go/rekey/internal/smserver/smtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A clock is set by hand.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// A user calls one server about one secret, s, whose clock stands still.
type user struct {
	*secretsmanager.Client
	t      *testing.T
	server *smtest.Server
	clock  *clock
	id     *string
}

var begin = time.Date(2026, 3, 10, 15, 30, 0, 0, time.UTC)

func start(t *testing.T) *user {
	u := &user{t: t, server: smtest.New(t), clock: &clock{t: begin}, id: aws.String("s")}
	u.server.Store.Now = u.clock.now
	u.Client = u.server.Client(t)
	_, err := u.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: u.id, SecretString: aws.String("one"), ClientRequestToken: token(1)})
	require.NoError(t, err)
	return u
}

func token(n int) *string { return aws.String(fmt.Sprintf("%032d", n)) }

func (u *user) put(n int, labels ...string) error {
	_, err := u.PutSecretValue(u.t.Context(), &secretsmanager.PutSecretValueInput{
		SecretId: u.id, ClientRequestToken: token(n), SecretString: aws.String(fmt.Sprint("value ", n)), VersionStages: labels,
	})
	return err
}

func (u *user) get() (string, error) {
	out, err := u.GetSecretValue(u.t.Context(), &secretsmanager.GetSecretValueInput{SecretId: u.id})
	if err != nil {
		return "", err
	}
	return *out.SecretString, nil
}

func (u *user) describe() *secretsmanager.DescribeSecretOutput {
	u.t.Helper()
	out, err := u.DescribeSecret(u.t.Context(), &secretsmanager.DescribeSecretInput{SecretId: u.id})
	require.NoError(u.t, err)
	return out
}

func TestErrorsHaveTheSDKsTypes(t *testing.T) {
	u := start(t)
	missing, exists, parameter := new(types.ResourceNotFoundException), new(types.ResourceExistsException), new(types.InvalidParameterException)
	_, err := u.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("nothing")})
	require.ErrorAs(t, err, &missing)
	require.Equal(t, "Secrets Manager can't find the specified secret.", missing.ErrorMessage())
	require.ErrorAs(t, u.put(1), &exists)
	_, err = u.UpdateSecretVersionStage(t.Context(), &secretsmanager.UpdateSecretVersionStageInput{SecretId: u.id, VersionStage: aws.String("AWSCURRENT"), RemoveFromVersionId: token(1)})
	require.ErrorAs(t, err, &parameter)
	_, err = u.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: u.id})
	require.NoError(t, err)
	state := new(types.InvalidRequestException)
	_, err = u.get()
	require.ErrorAs(t, err, &state)
	token := new(types.InvalidNextTokenException)
	_, err = u.ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{NextToken: aws.String("?")})
	require.ErrorAs(t, err, &token)
}

func TestDates(t *testing.T) {
	u := start(t)
	require.True(t, begin.Equal(*u.describe().CreatedDate))
	require.Nil(t, u.describe().LastAccessedDate)
	u.clock.pass(90*time.Minute + 250*time.Millisecond)
	require.NoError(t, u.put(2))
	_, err := u.get()
	require.NoError(t, err)
	d := u.describe()
	require.True(t, begin.Equal(*d.CreatedDate))
	require.True(t, u.clock.now().Equal(*d.LastChangedDate), "%s", d.LastChangedDate)
	require.Equal(t, "2026-03-10 00:00:00", d.LastAccessedDate.UTC().Format(time.DateTime), "only the day is told")

	out, err := u.ListSecretVersionIds(t.Context(), &secretsmanager.ListSecretVersionIdsInput{SecretId: u.id})
	require.NoError(t, err)
	require.Nil(t, out.Versions[0].LastAccessedDate)
	require.True(t, d.LastAccessedDate.Equal(*out.Versions[1].LastAccessedDate))
	require.Equal(t, []string{"DefaultEncryptionKey"}, out.Versions[1].KmsKeyIds)
}

func TestScheduledSecretIsGoneAfterItsWindow(t *testing.T) {
	u := start(t)
	out, err := u.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: u.id, RecoveryWindowInDays: aws.Int64(7)})
	require.NoError(t, err)
	require.True(t, begin.AddDate(0, 0, 7).Equal(*out.DeletionDate))
	u.clock.pass(7*24*time.Hour - time.Second)
	state := new(types.InvalidRequestException)
	_, err = u.get()
	require.ErrorAs(t, err, &state)
	u.clock.pass(time.Second)
	missing := new(types.ResourceNotFoundException)
	_, err = u.get()
	require.ErrorAs(t, err, &missing)
	_, err = u.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: u.id})
	require.NoError(t, err, "the name is free")
}

// Versions without labels make room when they are older than a day.
func TestVersionsMakeRoom(t *testing.T) {
	u := start(t)
	for n := 2; n <= 100; n++ {
		require.NoError(t, u.put(n))
	}
	limit := new(types.LimitExceededException)
	require.ErrorAs(t, u.put(101), &limit)
	text, err := u.get()
	require.NoError(t, err)
	require.Equal(t, "value 100", text, "what fails changes nothing")
	u.clock.pass(24 * time.Hour)
	require.NoError(t, u.put(101))
	missing := new(types.ResourceNotFoundException)
	_, err = u.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: u.id, VersionId: token(1)})
	require.ErrorAs(t, err, &missing, "the oldest one")
	_, err = u.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: u.id, VersionId: token(2)})
	require.NoError(t, err)
}

func TestStaleReadsSeeThePast(t *testing.T) {
	u := start(t)
	for n := 2; n <= 4; n++ {
		u.clock.pass(time.Minute)
		require.NoError(t, u.put(n))
	}
	for ago, want := range map[time.Duration]string{
		time.Nanosecond: "value 3", 59 * time.Second: "value 3", 60 * time.Second: "value 3", 61 * time.Second: "value 2", 3 * time.Minute: "one",
	} {
		fault := u.server.Inject(smtest.Fault{Stale: ago})
		text, err := u.get()
		require.NoError(t, err)
		require.Equal(t, want, text, ago)
		fault.Clear()
	}
	text, err := u.get()
	require.NoError(t, err)
	require.Equal(t, "value 4", text)
}

// Of many that move AWSCURRENT from the same version at once, one does.
func TestMoveIsACompareAndSwap(t *testing.T) {
	u := start(t)
	const racers = 20
	for n := range racers {
		require.NoError(t, u.put(n+2, fmt.Sprint("RACER", n)))
		if n >= 15 { // within the number of labels
			break
		}
	}
	won := make(chan bool, racers)
	for n := range racers {
		go func() {
			_, err := u.UpdateSecretVersionStage(t.Context(), &secretsmanager.UpdateSecretVersionStageInput{
				SecretId: u.id, VersionStage: aws.String("AWSCURRENT"), RemoveFromVersionId: token(1), MoveToVersionId: token(n%16 + 2),
			})
			won <- err == nil
		}()
	}
	wins := 0
	for range racers {
		if <-won {
			wins++
		}
	}
	require.Equal(t, 1, wins)
	require.Contains(t, u.describe().VersionIdsToStages[*token(1)], "AWSPREVIOUS")
}

func TestFilters(t *testing.T) {
	u := start(t)
	for n, name := range []string{"app/a", "app/b", "web/a"} {
		u.clock.pass(time.Second)
		_, err := u.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
			Name: &name, Description: aws.String("The " + name), Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String(fmt.Sprint("t", n))}},
		})
		require.NoError(t, err)
	}
	cases := []struct {
		filters []types.Filter
		want    string
	}{
		{nil, "s app/a app/b web/a"},
		{[]types.Filter{{Key: "name", Values: []string{"app/"}}}, "app/a app/b"},
		{[]types.Filter{{Key: "name", Values: []string{"App/"}}}, ""},
		{[]types.Filter{{Key: "name", Values: []string{"!app/"}}}, "s web/a"},
		{[]types.Filter{{Key: "name", Values: []string{"app/a", "web"}}}, "app/a web/a"},
		{[]types.Filter{{Key: "description", Values: []string{"the app"}}}, "app/a app/b"},
		{[]types.Filter{{Key: "tag-value", Values: []string{"t1", "t2"}}, {Key: "name", Values: []string{"app"}}}, "app/b"},
		{[]types.Filter{{Key: "tag-key", Values: []string{"team"}}}, "app/a app/b web/a"},
	}
	for _, c := range cases {
		for _, order := range []types.SortOrderType{types.SortOrderTypeAsc, types.SortOrderTypeDesc} {
			var names []string
			in := &secretsmanager.ListSecretsInput{Filters: c.filters, SortOrder: order, MaxResults: aws.Int32(2)}
			for p := secretsmanager.NewListSecretsPaginator(u, in); p.HasMorePages(); {
				out, err := p.NextPage(t.Context())
				require.NoError(t, err)
				for _, s := range out.SecretList {
					if order == types.SortOrderTypeDesc {
						names = append([]string{*s.Name}, names...)
					} else {
						names = append(names, *s.Name)
					}
				}
			}
			require.Equal(t, c.want, strings.Join(names, " "), "%v %s", c.filters, order)
		}
	}
}

// A page goes on behind the last secret of the one before, whatever has become
// of that secret.
func TestPagesWithDeletions(t *testing.T) {
	u := start(t)
	for _, name := range []string{"a", "b", "c"} {
		u.clock.pass(time.Second)
		_, err := u.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name})
		require.NoError(t, err)
	}
	first, err := u.ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{MaxResults: aws.Int32(2)})
	require.NoError(t, err)
	for _, name := range []string{"s", "a"} {
		_, err = u.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: &name, ForceDeleteWithoutRecovery: aws.Bool(true)})
		require.NoError(t, err)
	}
	second, err := u.ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{NextToken: first.NextToken})
	require.NoError(t, err)
	require.Len(t, second.SecretList, 2)
	require.Equal(t, "b", *second.SecretList[0].Name)
}

func TestCloseEndsHangingRequests(t *testing.T) {
	s := smtest.Wrap(smserver.New())
	server, err := smserver.Start(s)
	require.NoError(t, err)
	s.Inject(smtest.Fault{Hang: true})
	client := smtest.Client(t, server.URL)
	failed := make(chan error, 1)
	go func() {
		_, err := client.ListSecrets(context.WithoutCancel(t.Context()), nil)
		failed <- err
	}()
	require.Eventually(t, func() bool { return s.Count("") == 1 }, 10*time.Second, time.Millisecond)
	server.Close()
	require.Error(t, <-failed)
	server.Close()
}
