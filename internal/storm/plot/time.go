package plot

import "fmt"

// drawTime draws the axis that both panels share.
func (r Run) drawTime(c *canvas, x scale) {
	span, unit, name := r.Length.Seconds(), 1.0, "seconds"
	if span > 600 {
		unit, name = 60, "minutes"
	}
	every := step(span/unit, 12)
	for v := 0.0; v*unit <= span; v += every {
		at := x.at(v * unit)
		c.line(at, latencyBottom, at, latencyBottom+5, `stroke="`+faint+`"`)
		c.text(at, latencyBottom+20, `text-anchor="middle" fill="`+faint+`"`, fmt.Sprint(v))
	}
	c.text((left+right)/2, latencyBottom+40, `text-anchor="middle" fill="`+faint+`"`, name+" since the start")
	for _, bottom := range []float64{bandBottom, latencyBottom} {
		c.line(left, bottom, right, bottom, `stroke="`+faint+`"`)
	}
}

// drawRotations draws a line through both panels where each rotation began:
// solid for a new password, dashed for a new user.
func (r Run) drawRotations(c *canvas, x scale) {
	room := float64(right - left)
	for i, rotation := range r.Rotations {
		if i > 0 {
			room = min(room, x.time(rotation.At)-x.time(r.Rotations[i-1].At))
		}
	}
	named := room >= 72
	if !named {
		for i, name := range []string{"new password", "new user"} {
			at := right - 190 + 112*float64(i)
			c.line(at, bandTop-46, at, bandTop-33, style(i == 1))
			c.text(at+6, bandTop-36, `fill="`+faint+`"`, name)
		}
	}
	for _, user := range []bool{false, true} {
		class, name := "password", "new password"
		if user {
			class, name = "user", "new user"
		}
		c.printf("<g %s>\n", style(user))
		for _, rotation := range r.Rotations {
			if rotation.User == user {
				at := num(x.time(min(rotation.At, r.Length)))
				c.printf(`<path class="%s" d="M%s %dV%dM%s %dV%d"/>`+"\n", class, at, bandTop-6, bandBottom, at, latencyTop, latencyBottom)
			}
		}
		c.printf("</g>\n")
		for _, rotation := range r.Rotations {
			if named && rotation.User == user {
				c.text(x.time(min(rotation.At, r.Length)), bandTop-11, `text-anchor="middle" font-size="11" fill="`+faint+`"`, name)
			}
		}
	}
}

func style(user bool) string {
	style := `stroke="` + ink + `" stroke-opacity="0.8"`
	if user {
		style += ` stroke-dasharray="5 3"`
	}
	return style
}
