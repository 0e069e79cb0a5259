package main

func (b *bench) startUp(w string) error  { return nil }
func (b *bench) hugeRoom(w string) error { return nil }
func (b *bench) growth(w string) error   { return nil }
func (b *bench) day(w string) error      { return nil }
