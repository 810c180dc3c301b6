package contract

import "fmt"

var staging = []check{
	{"move: AWSCURRENT, and AWSPREVIOUS goes where it was", "ok | v1=AWSPREVIOUS v2=AWSCURRENT,AWSPENDING", func(c *caller) string {
		c.create("one")
		c.has(2, "two", "AWSPENDING")
		return line(c.move("AWSCURRENT", 1, 2), c.labels())
	}},
	{"move: after it the new version is read", "two | one | two", func(c *caller) string {
		c.create("one")
		c.has(2, "two", "AWSPENDING")
		c.move("AWSCURRENT", 1, 2)
		return line(c.get("AWSCURRENT"), c.get("AWSPREVIOUS"), c.get("AWSPENDING"))
	}},
	{"move: after it the new version is read without a label, too", "two", func(c *caller) string {
		c.create("one")
		c.has(2, "two", "AWSPENDING")
		c.move("AWSCURRENT", 1, 2)
		return c.get("")
	}},
	{"move: AWSCURRENT back", "ok | v1=AWSCURRENT v2=AWSPREVIOUS | one", func(c *caller) string {
		c.create("one")
		c.has(2, "two")
		return line(c.move("AWSCURRENT", 2, 1), c.labels(), c.get("AWSCURRENT"))
	}},
	{"move: AWSPREVIOUS leaves the version before", "v1= v2=AWSPREVIOUS v3=AWSCURRENT", func(c *caller) string {
		c.create("one")
		c.has(2, "two")
		c.has(3, "three", "AWSPENDING")
		c.move("AWSCURRENT", 2, 3)
		c.move("AWSPENDING", 3, 0)
		return c.versions(true)
	}},
	{"move: AWSCURRENT without saying from where", "InvalidParameterException | one", func(c *caller) string {
		c.create("one")
		c.has(2, "two", "AWSPENDING")
		return line(c.move("AWSCURRENT", 0, 2), c.get("AWSCURRENT"))
	}},
	{"move: AWSCURRENT from where it is not", "InvalidParameterException | one | v1=AWSCURRENT v2=AWSPENDING", func(c *caller) string {
		c.create("one")
		c.has(2, "two", "AWSPENDING")
		return line(c.move("AWSCURRENT", 2, 2), c.get("AWSCURRENT"), c.labels())
	}},
	{"move: a lost race leaves the winner's labels", "ok | InvalidParameterException | v1=AWSPREVIOUS v2=A,AWSCURRENT v3=B", func(c *caller) string {
		c.create("one")
		c.has(2, "two", "A")
		c.has(3, "three", "B")
		return line(c.move("AWSCURRENT", 1, 2), c.move("AWSCURRENT", 1, 3), c.labels())
	}},
	{"move: a version that is not there", "refused | v1=AWSCURRENT | one", func(c *caller) string {
		c.create("one")
		saw := c.move("AWSCURRENT", 1, 2)
		if saw != "ok" {
			saw = "refused"
		}
		return line(saw, c.labels(), c.get("AWSCURRENT"))
	}},
	{"move: AWSCURRENT cannot be removed", "InvalidParameterException | v1=AWSCURRENT", func(c *caller) string {
		c.create("one")
		return line(c.move("AWSCURRENT", 1, 0), c.labels())
	}},
	{"move: a label of one's own is attached and removed", "ok | v1=AWSCURRENT,MINE | ok | v1=AWSCURRENT", func(c *caller) string {
		c.create("one")
		return line(c.move("MINE", 0, 1), c.labels(), c.move("MINE", 1, 0), c.labels())
	}},
	{"move: a label of one's own without saying from where", "InvalidParameterException | v1=AWSCURRENT v2=MINE", func(c *caller) string {
		c.create("one")
		c.has(2, "two", "MINE")
		return line(c.move("MINE", 0, 1), c.labels())
	}},
	{"move: a label of one's own does not move AWSPREVIOUS", "ok | v1=AWSPREVIOUS,MINE v2=AWSCURRENT", func(c *caller) string {
		c.create("one")
		c.has(2, "two")
		c.has(3, "three", "MINE")
		return line(c.move("MINE", 3, 1), c.labels())
	}},
	{"move: a label that sits nowhere cannot be removed", "InvalidParameterException", func(c *caller) string {
		c.create("one")
		return c.move("MINE", 1, 0)
	}},
	{"move: a secret that is not there", "ResourceNotFoundException", func(c *caller) string {
		return c.move("AWSCURRENT", 1, 2)
	}},
	{"labels: put takes them from other versions", "v1=AWSCURRENT v3=A,B", func(c *caller) string {
		c.create("one")
		c.has(2, "two", "A", "B")
		c.has(3, "three", "A", "B")
		return c.labels()
	}},
	{"labels: put leaves those that it does not name", "v1=AWSCURRENT v2=B v3=A", func(c *caller) string {
		c.create("one")
		c.has(2, "two", "A", "B")
		c.has(3, "three", "A")
		return c.labels()
	}},
	{"labels: those of one's own stay when AWSCURRENT goes", "v1=AWSPREVIOUS,MINE v2=AWSCURRENT", func(c *caller) string {
		c.create("one")
		c.move("MINE", 0, 1)
		c.has(2, "two")
		return c.labels()
	}},
	{"labels: the 21st of a secret", "LimitExceededException", func(c *caller) string {
		c.create("one")
		for n := range 19 {
			c.move(fmt.Sprint("L", n), 0, 1)
		}
		return c.move("TOO-MANY", 0, 1)
	}},
	{"deprecated: a version without labels can be read by its ID", "one", func(c *caller) string {
		c.create("one")
		c.has(2, "two")
		c.has(3, "three")
		return c.getVersion(1, "")
	}},
	{"deprecated: DescribeSecret does not show it", "v2=AWSPREVIOUS v3=AWSCURRENT", func(c *caller) string {
		c.create("one")
		c.has(2, "two")
		c.has(3, "three")
		return c.stages(c.describe().VersionIdsToStages)
	}},
	{"deprecated: ListSecretVersionIds does not show it", "v2=AWSPREVIOUS v3=AWSCURRENT", func(c *caller) string {
		c.create("one")
		c.has(2, "two")
		c.has(3, "three")
		return c.versions(false)
	}},
	{"deprecated: ListSecretVersionIds shows it if asked", "v1= v2=AWSPREVIOUS v3=AWSCURRENT", func(c *caller) string {
		c.create("one")
		c.has(2, "two")
		c.has(3, "three")
		return c.versions(true)
	}},
	{"deprecated: a label brings a version back", "ok | v1=AWSCURRENT v3=AWSPREVIOUS", func(c *caller) string {
		c.create("one")
		c.has(2, "two")
		c.has(3, "three")
		saw := c.move("AWSCURRENT", 3, 1)
		return line(saw, c.labels())
	}},
}
