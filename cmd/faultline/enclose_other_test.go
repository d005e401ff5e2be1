//go:build !linux

package main

import "syscall"

func enclosed() *syscall.SysProcAttr { return nil }
