package lanewise_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/lanewise/lanewise"
)

// Four pixels, three classes: the logits of a pixel stand side by side.
func ExampleLovaszSoftmax() {
	logits := []float32{
		2, 0, -1,
		0, 1, 0,
		1, 1, 3,
		0.5, -0.5, 0,
	}
	labels := []int32{0, 1, 2, 0}
	loss, err := lanewise.LovaszSoftmax(logits, labels, 3)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%.4f\n", loss)
	// Output: 0.3394
}

// Each step against the gradient makes the loss smaller. The batch is two images of two pixels each, a plane for every class, as networks
// lay them out; one pixel has no label, which is written as 255.
func ExampleLovasz_Backward() {
	loss, err := lanewise.NewLovasz(lanewise.LovaszConfig{
		Classes:      3,
		Layout:       lanewise.ClassMajor,
		VoidLabels:   []int32{255},
		CrossEntropy: 0.5,
	})
	if err != nil {
		log.Fatal(err)
	}
	logits := make([]float32, 2*3*2)
	labels := []int32{
		0, 2,
		1, 255,
	}
	grad := make([]float32, len(logits))
	for step := range 4 {
		result, err := loss.Backward(grad, logits, labels, 2)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("step %d: %.3f = %.3f + 0.5·%.3f\n", step, result.Loss, result.Lovasz, result.CrossEntropy)
		for i, g := range grad {
			logits[i] -= 5 * g
		}
	}
	// Output:
	// step 0: 1.216 = 0.667 + 0.5·1.099
	// step 1: 0.535 = 0.333 + 0.5·0.405
	// step 2: 0.245 = 0.159 + 0.5·0.173
	// step 3: 0.152 = 0.100 + 0.5·0.105
}

// A mask of one class, a score for each pixel: the binary loss that needs no sigmoid.
func ExampleLovasz_Hinge() {
	loss, err := lanewise.NewLovasz(lanewise.LovaszConfig{Classes: 1, Activation: lanewise.NoActivation})
	if err != nil {
		log.Fatal(err)
	}
	scores := []float32{0.5, -1, 2}
	grad := make([]float32, len(scores))
	result, err := loss.Hinge(grad, scores, []int32{1, 0, 0}, 1)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Loss, grad)
	// Output: 1.75 [-0.5 0 0.5]
}

// Two machines hold half of the pixels each. The loss of all pixels is not the mean of the halves' losses: the machines send their counts.
func ExampleLovaszCounts() {
	cfg := lanewise.LovaszConfig{Classes: 3}

	// The worker counts its pixels and sends the bytes, here over a connection on one machine.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	go func() {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			log.Fatal(err)
		}
		defer conn.Close()
		counts, err := lanewise.NewLovaszCounts(cfg)
		if err != nil {
			log.Fatal(err)
		}
		if err := counts.Add([]float32{1, 1, 3, 0.5, -0.5, 0}, []int32{0, 1}, 1); err != nil {
			log.Fatal(err)
		}
		state, err := counts.MarshalBinary()
		if err != nil {
			log.Fatal(err)
		}
		if _, err := conn.Write(state); err != nil {
			log.Fatal(err)
		}
	}()

	// The other machine counts its own, and merges.
	total, err := lanewise.NewLovaszCounts(cfg)
	if err != nil {
		log.Fatal(err)
	}
	if err := total.Add([]float32{2, 0, -1, 0, 1, 0}, []int32{2, 2}, 1); err != nil {
		log.Fatal(err)
	}
	conn, err := listener.Accept()
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	state, err := io.ReadAll(conn)
	if err != nil {
		log.Fatal(err)
	}
	var received lanewise.LovaszCounts
	if err := received.UnmarshalBinary(state); err != nil {
		log.Fatal(err)
	}
	if err := total.Merge(&received); err != nil {
		log.Fatal(err)
	}
	result := total.Result()
	fmt.Printf("%.5f, exact within %.0e\n", result.Lovasz, result.Gap)
	// Output: 0.86006, exact within 8e-13
}

func ExampleConfusion() {
	confusion := lanewise.NewConfusion(3)
	predicted := []int32{0, 0, 1, 1, 2, 2}
	labels := []int32{0, 1, 1, 1, 2, 255} // 255 is no class, and not counted
	if err := confusion.Add(predicted, labels); err != nil {
		log.Fatal(err)
	}
	fmt.Println("class 1 taken for class 0:", confusion.At(1, 0))
	fmt.Printf("IoU %.3f, mean %.3f\n", confusion.IoU(), confusion.MeanIoU())
	// Output:
	// class 1 taken for class 0: 1
	// IoU [0.500 0.667 1.000], mean 0.722
}

// A mask is the answer of the service below.
type mask struct {
	Classes     []int32   `json:"classes"`     // of each pixel
	Confidences []float32 `json:"confidences"` // the probability of that class
}

// segment answers a POST of little-endian float32 logits, a plane of pixels for each of three classes, with the class of every pixel.
func segment(w http.ResponseWriter, r *http.Request) {
	const classes, limit = 3, 64 << 20
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	if len(body)%(4*classes) != 0 {
		http.Error(w, fmt.Sprintf("%d bytes are not %d planes of float32", len(body), classes), http.StatusBadRequest)
		return
	}
	logits := make([]float32, len(body)/4)
	if _, err := binary.Decode(body, binary.LittleEndian, logits); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	pixels := len(logits) / classes
	answer := mask{make([]int32, pixels), make([]float32, pixels)}
	lanewise.SoftmaxPlanes(logits, logits, classes) // in place: the logits are not needed any more
	lanewise.ArgMaxPlanes(answer.Classes, logits, classes)
	for i, class := range answer.Classes {
		p := logits[int(class)*pixels+i]
		if p != p { // the pixel's logits were not numbers
			http.Error(w, fmt.Sprintf("pixel %d has no finite logits", i), http.StatusBadRequest)
			return
		}
		answer.Confidences[i] = p
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(answer)
}

// An inference service that turns the logits it is sent into a class mask with probabilities.
func ExampleArgMaxPlanes_httpHandler() {
	server := httptest.NewServer(http.HandlerFunc(segment))
	defer server.Close()

	logits := []float32{ // four pixels
		4, 0, 1, 0, // class 0
		0, 3, 1, 0, // class 1
		0, 0, 0, 9, // class 2
	}
	body, err := binary.Append(nil, binary.LittleEndian, logits)
	if err != nil {
		log.Fatal(err)
	}
	for _, body := range []io.Reader{bytes.NewReader(body), strings.NewReader("no logits")} {
		response, err := http.Post(server.URL, "application/octet-stream", body)
		if err != nil {
			log.Fatal(err)
		}
		if response.StatusCode != http.StatusOK {
			text, _ := io.ReadAll(response.Body)
			fmt.Printf("%s: %s", response.Status, text)
			continue
		}
		var m mask
		if err := json.NewDecoder(response.Body).Decode(&m); err != nil {
			log.Fatal(err)
		}
		response.Body.Close()
		fmt.Printf("%d %.2f\n", m.Classes, m.Confidences)
	}
	// Output:
	// [0 1 0 2] [0.96 0.91 0.42 1.00]
	// 400 Bad Request: 9 bytes are not 3 planes of float32
}
