// Package appservice is the application service API: it takes transactions in and commits to the inbox what Usher has to handle.
package appservice
