// Watermill's GoChannel: publishes messages to one subscriber that decodes and acknowledges each, and
// prints messages per second. Arguments: events, the data, and whether to decode it.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
)

type line struct {
	SKU      string  `json:"sku"`
	Quantity uint32  `json:"quantity"`
	Price    float64 `json:"price"`
}

type order struct {
	ID       uint64  `json:"id"`
	Customer string  `json:"customer"`
	Email    string  `json:"email"`
	Currency string  `json:"currency"`
	Total    float64 `json:"total"`
	Paid     bool    `json:"paid"`
	Note     string  `json:"note"`
	Lines    []line  `json:"lines"`
}

func main() {
	events, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	data, decode := []byte(os.Args[2]), os.Args[3] == "decode"
	pubsub := gochannel.NewGoChannel(gochannel.Config{OutputChannelBuffer: 1024}, watermill.NopLogger{})
	messages, err := pubsub.Subscribe(context.Background(), "orders")
	if err != nil {
		panic(err)
	}
	done := make(chan struct{})
	began := time.Now()
	go func() {
		for range events {
			received := <-messages
			if decode {
				var found order
				if err := json.Unmarshal(received.Payload, &found); err != nil {
					panic(err)
				}
			}
			received.Ack()
		}
		close(done)
	}()
	for range events {
		if err := pubsub.Publish("orders", message.NewMessage(watermill.NewUUID(), data)); err != nil {
			panic(err)
		}
	}
	<-done
	fmt.Printf("%.0f\n", float64(events)/time.Since(began).Seconds())
}
