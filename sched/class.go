package sched

// class is a coarse priority, for counting and limits.
type class uint8

// The classes.
const (
	classLow    class = iota // below 0
	classNormal              // 0
	classHigh                // above 0
	classes
)

// classOf returns the class of a priority.
func classOf(priority int32) class {
	switch {
	case priority < 0:
		return classLow
	case priority > 0:
		return classHigh
	}
	return classNormal
}

func (c class) String() string { return [...]string{"low", "normal", "high"}[c] }
