package secretsmanager

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/rotate"
)

// History returns the versions that Secrets Manager has not removed yet, oldest
// first, those without a label as well. It needs the permission
// secretsmanager:ListSecretVersionIds, reads no value, and so tells no users.
func (s *Store) History(ctx context.Context) ([]rotate.Record, error) {
	if s.err != nil {
		return nil, s.err
	}
	const op = "ListSecretVersionIds"
	var records []rotate.Record
	pages := sdk.NewListSecretVersionIdsPaginator(s.client, &sdk.ListSecretVersionIdsInput{SecretId: &s.id, IncludeDeprecated: aws.Bool(true)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, s.failed(ctx, op, "", err)
		}
		for _, v := range page.Versions {
			records = append(records, rotate.Record{Token: aws.ToString(v.VersionId), Time: aws.ToTime(v.CreatedDate)})
		}
	}
	slices.SortStableFunc(records, func(a, b rotate.Record) int { return a.Time.Compare(b.Time) })
	return records, nil
}
