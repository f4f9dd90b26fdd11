package lanewise

import "errors"

// LovaszCounts is the state of the binned loss over any pixels anywhere.
type LovaszCounts struct{}

func NewLovaszCounts(cfg LovaszConfig) (*LovaszCounts, error) { return nil, errors.ErrUnsupported }
func (c *LovaszCounts) Add(logits []float32, labels []int32, images int) error {
	return errors.ErrUnsupported
}
func (c *LovaszCounts) Merge(other *LovaszCounts) error { return errors.ErrUnsupported }
func (c *LovaszCounts) Result() LovaszResult            { return LovaszResult{} }
func (c *LovaszCounts) Backward(grad, logits []float32, labels []int32, images int) error {
	return errors.ErrUnsupported
}
func (c *LovaszCounts) Reset()                                {}
func (c *LovaszCounts) AppendBinary(b []byte) ([]byte, error) { return nil, errors.ErrUnsupported }
func (c *LovaszCounts) MarshalBinary() ([]byte, error)        { return nil, errors.ErrUnsupported }
func (c *LovaszCounts) UnmarshalBinary(b []byte) error        { return errors.ErrUnsupported }
