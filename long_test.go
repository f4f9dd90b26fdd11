package lanewise

import "flag"

// What is measured in minutes is left out unless -long says so: all shapes, large sizes, every thousandth float32. .ci/run says so.
var long = flag.Bool("long", false, "the long runs too: minutes")
