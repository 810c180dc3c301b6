package contract

// Moto are the differences of moto's server 5.2. Those of 5.2.1 and 5.2.5 are the
// same.
var Moto = Differences{
	"get: a partial ARN that looks complete is taken for one": {
		Sees: "one",
		Why:  "it compares names first",
	},
	"get: a secret that is not there has status 400": {
		Sees: "404",
		Why:  "it uses the status that fits the name of the error",
	},
	"get: the day of the last access is told once there was one": {
		Sees: "never | never",
		Why:  "it keeps no accesses",
	},
	"create: a name with blanks": {
		Sees: "v1",
		Why:  "it does not check names",
	},
	"create: text and bytes at once": {
		Sees: "ok",
		Why:  "it keeps both",
	},
	"create: more than 64 KiB": {
		Sees: "v1",
		Why:  "it has no quotas",
	},
	"put: again with another value while pending": {
		Sees: "v2=AWSPENDING | other",
		Why:  "a version with AWSPENDING, which a rotation may have left empty, is overwritten even if it has a value",
	},
	"put: the 101st version within a day": {
		Sees: "v101=AWSCURRENT",
		Why:  "it has no quotas",
	},
	"update: a token that is in use, with the same value": {
		Sees: "v1",
		Why:  "it treats UpdateSecret as PutSecretValue, which is idempotent",
	},
	"update: the description can be emptied": {
		Sees: "hello",
		Why:  "an empty description counts as none",
	},
	"move: after it the new version is read without a label, too": {
		Sees: "one",
		Why:  "the version that is read by default is not the one with AWSCURRENT, but the one that was put as such last",
	},
	"move: a version that is not there": {
		Sees: "refused |  | ResourceNotFoundException",
		Why:  "the label is removed before the error is found",
	},
	"move: AWSCURRENT cannot be removed": {
		Sees: "ok | v1=AWSPREVIOUS",
		Why:  "it does not look where the label goes",
	},
	"move: a label of one's own without saying from where": {
		Sees: "ok | v1=AWSCURRENT,MINE v2=MINE",
		Why:  "only AWSCURRENT is checked, and labels are kept by version: two may have the same",
	},
	"labels: those of one's own stay when AWSCURRENT goes": {
		Sees: "v1=AWSPREVIOUS v2=AWSCURRENT",
		Why:  "the labels of the version that was current are replaced by AWSPREVIOUS",
	},
	"labels: the 21st of a secret": {
		Sees: "ok",
		Why:  "it has no quotas",
	},
	"deprecated: DescribeSecret does not show it": {
		Sees: "v1= v2=AWSPREVIOUS v3=AWSCURRENT",
		Why:  "it shows all versions",
	},
	"deprecated: ListSecretVersionIds does not show it": {
		Sees: "v1= v2=AWSPREVIOUS v3=AWSCURRENT",
		Why:  "it shows all versions",
	},
	"list: with a token of nowhere": {
		Sees: "status 500",
		Why:  "the token is taken for a number, and that fails",
	},
	"list: the versions page by page": {
		Sees: "2",
		Why:  "it does not page through versions",
	},
	"list: the ARN beside the versions": {
		Sees: "s",
		Why:  "it gives the name in its place",
	},
	"list: the versions of a secret that is not there": {
		Sees: "status 500",
		Why:  "it does not look whether the secret exists",
	},
	"delete: a scheduled secret cannot be put": {
		Sees: "v2=AWSCURRENT",
		Why:  "it does not look at the date",
	},
	"delete: a scheduled secret's labels cannot be moved": {
		Sees: "ok",
		Why:  "it does not look at the date",
	},
	"delete: a scheduled secret's name is taken": {
		Sees: "ResourceExistsException",
		Why:  "it does not look at the date",
	},
	"rotate: without a rotation function": {
		Sees: "ok",
		Why:  "it then rotates by itself",
	},
	"rotate: days and an expression": {
		Sees: "ResourceNotFoundException",
		Why:  "it looks for the function only",
	},
	"rotate: while another version is pending": {
		Sees: "ResourceNotFoundException | v1=AWSCURRENT v9=AWSPENDING",
		Why:  "it refuses the opposite: when the pending version is the current one",
	},
}
