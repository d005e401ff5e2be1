//go:build !unix || solaris || aix

package report

const runsUnix = false
